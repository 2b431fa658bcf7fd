from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.logging import MessageHub
from torch.utils.data import DataLoader

from mmdisco.engine import (
    AtomicBackend,
    CollapseHook,
    EpochSeedHook,
    OptimizerLayoutHook,
    QueueCheckHook,
    ResumeCheckHook,
    TeacherHook,
    ThroughputHook,
)
from mmdisco.models import CompRessLoss, SEEDLoss


def queue_runner(images, batch, world_size, queue_len, wrap=True, drop_last=True):
    ssl = model = torch.nn.Module()
    ssl.queue_len = queue_len
    loader = DataLoader(range(images), batch_size=batch, drop_last=drop_last)
    if wrap:
        model = torch.nn.Module()
        model.ssl = ssl
    return SimpleNamespace(train_dataloader=loader, world_size=world_size, model=model)


@pytest.mark.parametrize(
    'args, words',
    [
        ((7, 4, 2, 8), '7 images are too few for one batch of 8'),
        ((100, 4, 2, 128), 'set model.ssl.queue_len to 96 or less'),
        ((100, 4, 2, 20), 'set model.ssl.queue_len to 16'),
        ((100, 4, 2, 20, False), 'set model.queue_len to 16'),
        ((100, 8, 1, 4), 'set model.ssl.queue_len to 8'),
    ],
)
def test_a_queue_that_does_not_fit_is_an_error_with_a_number(args, words):
    with pytest.raises(ValueError, match=words):
        QueueCheckHook().before_train(queue_runner(*args))


def test_a_queue_that_fits_passes():
    runner = queue_runner(100, 4, 2, 96)
    QueueCheckHook().before_train(runner)
    del runner.model.ssl.queue_len  # an algorithm without a queue
    runner.model.distill = torch.nn.ModuleList([SEEDLoss(8, queue_len=99)])
    QueueCheckHook().before_train(runner)
    assert runner.train_dataloader.batch_size == 4


def test_a_smaller_last_batch_does_not_fit_a_queue():
    """Even if its size divides the queue: later batches cross its end."""
    QueueCheckHook().before_train(
        queue_runner(96, 4, 1, 96, drop_last=False)
    )  # full batches only
    for images in (97, 98):
        with pytest.raises(
            ValueError,
            match=f'last batch of an epoch has '
            f'{images - 96} images, not 4.*drop_last=True',
        ):
            QueueCheckHook().before_train(
                queue_runner(images, 4, 1, 96, drop_last=False)
            )
    runner = queue_runner(97, 4, 1, 96)
    runner.train_dataloader = DataLoader(
        range(97), batch_size=4, sampler=InfiniteSampler(range(97))
    )
    QueueCheckHook().before_train(runner)  # full batches


def test_a_queue_of_a_loss_is_no_longer_than_the_data_set():
    runner = queue_runner(100, 4, 2, 96)
    runner.model.distill = torch.nn.ModuleList(
        [SEEDLoss(8, queue_len=90), CompRessLoss(8, 4, queue_len=101)]
    )
    with pytest.raises(
        ValueError,
        match='model.distill.1.teacher_memory of '
        '101 features is longer than the data set of 100 '
        'images: set queue_len of model.distill.1 to 100',
    ):
        QueueCheckHook().before_train(runner)


def test_collapse_warns_below_the_threshold_at_the_interval():
    hook, logger = CollapseHook(threshold=0.1, interval=2), MagicMock()
    model = torch.nn.ModuleDict(dict(neck=torch.nn.Linear(4, 25)))
    model.neck = model['neck']  # 25-d: 0.2 if spread over the sphere
    for i, std in enumerate((0.0, 0.021, 0.0, 0.019)):
        runner = SimpleNamespace(iter=i, logger=logger, model=model)
        hook.after_train_iter(runner, i, outputs=dict(embed_std=torch.tensor(std)))
        hook.after_train_iter(runner, i, outputs=dict(loss=1.0))
    assert logger.warning.call_count == 1
    message = logger.warning.call_args[0][0]
    assert '0.0190, 0.2000 if spread over the sphere' in message


def test_random_numbers_depend_on_seed_and_epoch():
    def draw(seed, epoch):
        EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch))
        return torch.rand(4)

    assert torch.equal(draw(0, 3), draw(0, 3))
    assert not torch.equal(draw(0, 3), draw(0, 4))
    assert not torch.equal(draw(0, 3), draw(1, 3))
    draw(2**32 - 1, 3)  # the largest seed


def test_throughput_is_of_all_ranks():
    hub = MessageHub.get_instance('throughput')
    hub.update_scalar('train/time', 2.0)
    runner = SimpleNamespace(
        message_hub=hub,
        world_size=4,
        iter=0,
        train_dataloader=SimpleNamespace(batch_size=32),
    )
    ThroughputHook().after_train_iter(runner, 0)
    assert hub.get_scalar('train/images_per_s').current() == 64


def test_throughput_restarts_after_its_window():
    """Also if epochs are shorter than the window."""
    hub = MessageHub.get_instance('window')
    hook = ThroughputHook(window=6)
    loader = SimpleNamespace(batch_size=10)
    for i in range(9):  # epochs of 3; slow up to iteration 6
        hub.update_scalar('train/time', 10.0 if i < 6 else 1.0)
        hook.after_train_iter(
            SimpleNamespace(
                iter=i, message_hub=hub, world_size=1, train_dataloader=loader
            ),
            i % 3,
        )
    assert hub.get_scalar('train/images_per_s').current() == 10


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda c: c['state_dict'].pop('weight'), "'weight'"),
        (lambda c: c['state_dict'].update(more=torch.zeros(1)), "'more'"),
        (
            lambda c: c['state_dict'].update(bias=torch.zeros(9)),
            r"'bias' \(\[9\] in the file, \[3\] in the model\)",
        ),
        (lambda c: c.pop('optimizer'), 'no optimizer'),
        (lambda c: c['meta'].pop('epoch'), 'no epoch'),
    ],
)
def test_a_checkpoint_of_another_model_is_not_resumed(change, words):
    model = torch.nn.Linear(2, 3)
    saved = dict(state_dict=dict(model.state_dict()), optimizer={}, meta=dict(epoch=1))
    runner = SimpleNamespace(model=model, _resume=True)
    ResumeCheckHook().after_load_checkpoint(runner, saved)
    change(saved)
    with pytest.raises(ValueError, match=words):
        ResumeCheckHook().after_load_checkpoint(runner, saved)
    runner._resume = False  # load_from is checked by LoadFromHook
    ResumeCheckHook().after_load_checkpoint(runner, saved)


def test_a_run_is_not_resumed_with_another_teacher():
    def runner(sha256, resume=True):
        teacher = SimpleNamespace(checkpoint=f'{sha256}.pth', sha256=sha256)
        return SimpleNamespace(model=SimpleNamespace(teacher=teacher), _resume=resume)

    hook, saved = TeacherHook(), dict(meta={})
    hook.before_save_checkpoint(runner('aaa'), saved)
    assert saved['meta']['teacher'] == dict(checkpoint='aaa.pth', sha256='aaa')
    hook.after_load_checkpoint(runner('aaa'), saved)
    hook.after_load_checkpoint(runner('bbb', resume=False), saved)
    with pytest.raises(ValueError, match="'aaa.pth'.*now it is 'bbb.pth'"):
        hook.after_load_checkpoint(runner('bbb'), saved)


def test_a_resumed_optimizer_pairs_momentum_and_weights():
    """Weights that were channels-last with a fused optimizer."""

    def train(layer, optimizer, seeds):
        for seed in seeds:
            torch.manual_seed(seed)
            optimizer.zero_grad()
            layer(torch.randn(2, 4, 8, 8)).square().mean().backward()
            optimizer.step()

    def make(layout, **options):
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(4, 6, 3).to(memory_format=layout)
        return layer, torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9, **options)

    expected, optimizer = make(torch.contiguous_format)
    train(expected, optimizer, range(6))
    before, saved = make(torch.channels_last, fused=True)
    train(before, saved, range(3))
    now, optimizer = make(torch.contiguous_format)
    with torch.no_grad():
        for param, value in zip(now.parameters(), before.parameters()):
            param.copy_(value)
    optimizer.load_state_dict(saved.state_dict())
    assert optimizer.param_groups[0]['fused']
    OptimizerLayoutHook().before_train(
        SimpleNamespace(optim_wrapper=SimpleNamespace(optimizer=optimizer))
    )
    assert not optimizer.param_groups[0]['fused']
    train(now, optimizer, range(3, 6))
    torch.testing.assert_close(now.weight, expected.weight)


def test_a_kill_during_a_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'sub' / 'a.pth'
    backend = AtomicBackend()
    backend.put(b'old', path)
    assert path.read_bytes() == b'old' and len(list(path.parent.iterdir())) == 1
    monkeypatch.setattr('os.replace', MagicMock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        backend.put(b'new', path)
    assert path.read_bytes() == b'old'
