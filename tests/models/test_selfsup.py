"""LeanMoCo and its parts equal mmpretrain's and mmengine's."""

import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmpretrain.models import ContrastiveHead, MoCo, MoCoV2Neck
from torch import nn

from mmdisco.models import ForeachEMA, InfoNCEHead, LeanMoCo
from tests.models.toy import ToyBackbone


def moco(testbed, queue_len=8, head=None):
    torch.manual_seed(0)
    return testbed(
        ToyBackbone(4, 8),
        MoCoV2Neck(8, 16, 4),
        head or InfoNCEHead(0.2),
        queue_len=queue_len,
        feat_dim=4,
        momentum=0.1,
    ).train()


def views(seed, num=4):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(num, 3, 16, 16, generator=generator) for _ in range(2)]


def run(model, steps, start=0):
    optimizer = torch.optim.SGD(
        [*model.backbone.parameters(), *model.neck.parameters()], 0.1
    )
    for i in range(start, start + steps):
        loss = model.loss(views(i), [])['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


def assert_same_state(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    for key in first:
        torch.testing.assert_close(first[key], second[key], msg=key)


def test_three_steps_and_more_equal_mmpretrains():
    """The queue holds two batches, so it wraps around."""
    head = ContrastiveHead(dict(type='CrossEntropyLoss'), temperature=0.2)
    theirs, ours = moco(MoCo, head=head), moco(LeanMoCo)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(run(ours, 3), run(theirs, 3))
    assert_same_state(ours, theirs)
    # also with a state loaded in the middle of a run
    theirs.load_state_dict(moco(MoCo, head=head).state_dict())
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(run(ours, 1, 7), run(theirs, 1, 7))
    assert_same_state(ours, theirs)


def test_keys_enter_the_queue_in_the_backward_pass():
    model = moco(LeanMoCo)
    before = model.queue.clone()
    loss = model.loss(views(0))['loss']
    assert torch.equal(model.queue, before)
    loss.backward()
    assert not torch.equal(model.queue[:, :4], before[:, :4])
    assert torch.equal(model.queue[:, 4:], before[:, 4:])
    assert int(model.queue_ptr) == 4
    with torch.no_grad():  # no backward pass follows
        model.loss(views(1))
    assert int(model.queue_ptr) == 0


def test_similarities_are_fp32_under_autocast(monkeypatch):
    model, seen = moco(LeanMoCo), []
    monkeypatch.setattr(
        model.head, 'loss', lambda pos, neg: seen.extend((pos, neg)) or pos.mean()
    )
    with torch.autocast('cpu', torch.bfloat16):
        model.loss(views(0))
    assert [t.dtype for t in seen] == [torch.float32] * 2


def test_a_queue_that_batches_do_not_fill_is_an_error_with_both_numbers():
    model = moco(LeanMoCo, queue_len=6)
    with pytest.raises(ValueError, match='queue of 6 keys.*batch of 4'):
        model.loss(views(0))['loss'].backward()


def test_the_head_equals_mmpretrains_with_gradients():
    torch.manual_seed(0)
    theirs = ContrastiveHead(dict(type='CrossEntropyLoss'), temperature=0.07)
    tensors = [(torch.rand(5, n) * 2 - 1).requires_grad_() for n in (1, 50)]
    twins = [t.detach().clone().requires_grad_() for t in tensors]
    ours = InfoNCEHead(0.07).loss(*tensors)
    expected = theirs.loss(*twins)
    torch.testing.assert_close(ours, expected)
    for mine, other in zip(
        torch.autograd.grad(ours, tensors), torch.autograd.grad(expected, twins)
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(
    'options', [dict(), dict(interval=2), dict(update_buffers=True)]
)
def test_the_average_equals_mmengines(options):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    ours = ForeachEMA(network, 0.3, **options)
    theirs = ExponentialMovingAverage(network, 0.3, **options)
    for step in range(6):
        network(torch.randn(2, 3, 4, 4))
        with torch.no_grad():
            for param in network.parameters():
                param.add_(torch.randn_like(param))
        ours.update_parameters(network)
        theirs.update_parameters(network)
        assert_same_state(ours, theirs)
        if step == 3:  # a loaded counter counts
            state = copy.deepcopy(theirs.state_dict())
            state['steps'].fill_(0)
            ours.load_state_dict(state)
            theirs.load_state_dict(state)
