"""Frozen prototypes, and a queue that is kept in checkpoints."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop
from torch import nn

from mmdisco.engine import FreezeGradHook, SwAVQueueHook
from mmdisco.models import QueueSwAVLoss


def runner_of(model, lr=0.1):
    optimizer = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=0.9, weight_decay=0.1
    )
    return SimpleNamespace(
        model=model,
        iter=0,
        epoch=0,
        world_size=1,
        _resume=True,
        train_dataloader=SimpleNamespace(batch_size=2),
        train_loop=None,
        optim_wrapper=SimpleNamespace(optimizer=optimizer),
    )


@pytest.mark.parametrize('setting', [dict(iters=2), dict(epochs=1)])
def test_some_parameters_are_frozen(setting):
    """Neither momentum nor weight decay moves them while frozen."""
    model = nn.ModuleDict(dict(prototypes=nn.Linear(2, 2), rest=nn.Linear(2, 2)))
    runner = runner_of(model)
    hook = FreezeGradHook('prototypes', **setting)
    hook.before_train(runner)
    start = model['prototypes'].weight.clone()
    optimizer = runner.optim_wrapper.optimizer
    moved = []
    for step in range(4):
        runner.iter, runner.epoch = step, step // 2
        before = model['rest'].weight.clone()
        optimizer.zero_grad()
        sum(m(torch.ones(1, 2)).sum() for m in model.values()).backward()
        optimizer.step()
        moved.append(not torch.equal(model['prototypes'].weight, start))
        assert not torch.equal(model['rest'].weight, before)
    assert moved == [False, False, True, True]
    hook.after_train(runner)
    assert not optimizer._optimizer_step_pre_hooks
    runner.train_loop = object.__new__(IterBasedTrainLoop)
    with pytest.raises(
        ValueError,
        match=r'epochs=2\): the training loop counts iterations',
    ):
        FreezeGradHook('rest', epochs=2).before_train(runner)
    with pytest.raises(ValueError, match="no parameter has 'last'"):
        FreezeGradHook('last').before_train(runner)


def test_the_queue_starts_and_is_kept():
    torch.manual_seed(0)
    losses = [
        QueueSwAVLoss(4, num_crops=(2,), num_prototypes=3, queue_len=5)
        for _ in range(2)
    ]
    hook = SwAVQueueHook(start_epoch=1)
    first, second = (runner_of(nn.Sequential(m)) for m in losses)
    for runner in (first, second):
        hook.before_train(runner)
    embeds = nn.functional.normalize(torch.randn(4, 4), dim=1)
    hook.before_train_epoch(first)
    losses[0](embeds)
    checkpoint = {}
    hook.after_train_epoch(first)
    hook.before_save_checkpoint(first, checkpoint)
    assert losses[0].queue is None and not checkpoint  # epoch 0
    first.epoch = 1
    hook.before_train_epoch(first)
    losses[0](embeds)
    assert losses[0].queue.shape == (2, 4, 4)  # 5, of batches of 2
    assert losses[0].filled == 2
    hook.after_train_epoch(first)
    hook.before_save_checkpoint(first, checkpoint)
    losses[1].load_state_dict(losses[0].state_dict())
    hook.after_load_checkpoint(second, checkpoint)
    second.epoch = 1
    hook.before_train_epoch(second)
    more = [loss(embeds.flip(0)) for loss in losses for _ in range(2)]
    torch.testing.assert_close(more[:2], more[2:])
    assert torch.equal(losses[0].queue, losses[1].queue)
    first.train_dataloader.batch_size = 6
    with pytest.raises(ValueError, match='a queue of 5 .* batch of 6'):
        hook.before_train(first)
    with pytest.raises(ValueError, match='the model has 0'):
        hook.before_train(runner_of(nn.Linear(1, 1)))


def test_a_new_run_does_not_take_an_old_queue():
    """load_from calls the hook, too; and before its epoch no queue is used."""
    torch.manual_seed(0)
    loss = QueueSwAVLoss(4, num_crops=(2,), num_prototypes=3, queue_len=4)
    runner = runner_of(nn.Sequential(loss))
    checkpoint = dict(swav_queue=dict(queues=torch.ones(1, 2, 4, 4), filled=9))
    runner._resume = False
    SwAVQueueHook().after_load_checkpoint(runner, checkpoint)
    assert loss.queue is None
    embeds = nn.functional.normalize(torch.randn(4, 4), dim=1)
    without = loss(embeds)
    runner._resume = True
    hook = SwAVQueueHook()
    hook.after_load_checkpoint(runner, checkpoint)
    assert loss.queue is not None and torch.equal(loss(embeds), without)
    loss.use_queue = True
    assert not torch.equal(loss(embeds), without)
    assert checkpoint['swav_queue']['queues'].eq(1).all()  # a copy, not a view
    again = {}
    hook.before_save_checkpoint(runner, again)
    assert again == checkpoint


def test_batches_of_another_size_restart_the_queue():
    loss = QueueSwAVLoss(4, num_crops=(2,), num_prototypes=3, queue_len=5)
    loss.use_queue = True
    for batch, rows, filled in ((2, 4, 2), (2, 4, 4), (3, 3, 3), (6, 3, 3)):
        loss(nn.functional.normalize(torch.randn(2 * batch, 4), dim=1))
        assert (loss.queue.shape[1], loss.filled) == (rows, filled)


def test_codes_are_fp32_under_autocast():
    torch.manual_seed(0)
    loss = QueueSwAVLoss(8, num_crops=(2,), num_prototypes=5)
    embeds = nn.functional.normalize(torch.randn(8, 8), dim=1)
    expected = loss(embeds)
    with torch.autocast('cpu', torch.bfloat16):
        actual = loss(embeds)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=0)
