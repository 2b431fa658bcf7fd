"""--speed changes neither names nor results of the student."""

import copy

import pytest
import torch
from mmpretrain.models import MoCoV2Neck
from torch import nn

from mmdisco.models import InfoNCEHead, LeanMoCo, StudentTap
from mmdisco.models.fast.student import (
    encoders,
    fast_depthwise,
    fast_pooling,
    speed_up_student,
)
from tests.models.toy import ToyBackbone


def moco():
    torch.manual_seed(0)
    return LeanMoCo(
        ToyBackbone(4, 8),
        MoCoV2Neck(8, 16, 4),
        InfoNCEHead(0.2),
        queue_len=8,
        feat_dim=4,
    )


def test_the_student_and_its_momentum_copy_are_found():
    model = moco()
    expected = [model.backbone, model.neck, *model.encoder_k.module]
    for parts in (encoders(model), encoders(nn.ModuleDict(dict(ssl=model)))):
        assert len(parts) == 4
        assert all(a is b for a, b in zip(parts, expected))


def test_a_compiled_student_is_tapped_and_gives_the_same(cxx):
    plain = moco().train()
    fast = copy.deepcopy(plain)
    speed_up_student(fast, channels_last=True, compile=True)
    assert fast.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert plain.state_dict().keys() == fast.state_dict().keys()
    results = []
    for model in (plain, fast):
        torch.manual_seed(1)
        views = [torch.randn(4, 3, 16, 16) for _ in range(2)]
        with StudentTap(model) as tap:
            loss = model.loss(views)['loss']
        loss.backward()
        assert tap.records[0].images is views[0]
        results.append(
            [loss, tap.records[0].embeds, model.queue, model.backbone.conv1.weight.grad]
        )
    for first, second in zip(*results):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
    # a copy runs its own weights
    twin = copy.deepcopy(fast)
    with torch.no_grad():
        twin.backbone.conv1.weight.zero_()
        twin.backbone.bn1.bias.zero_()
        assert twin.backbone(views[0])[0].std(0).max() < 1e-6
        assert fast.backbone(views[0])[0].std(0).max() > 1e-2


@pytest.mark.parametrize(
    'geometry',
    [
        dict(kernel_size=5, stride=2, padding=2),
        dict(kernel_size=3, padding=2, dilation=2),
    ],
)
def test_depthwise_gradients_are_those_of_fp32(geometry):
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, groups=6, bias=False, **geometry)
    with torch.no_grad():  # all inputs are exact in bf16
        layer.weight.copy_(layer.weight.bfloat16())
    images = torch.randn(3, 6, 15, 17).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        reference = layer(images)
        assert fast_depthwise(layer) == 1
        inputs = images.clone().requires_grad_()
        output = layer(inputs)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output, reference)
    grad = torch.randn(output.shape).bfloat16()
    of_inputs, of_weight = torch.autograd.grad(output, (inputs, layer.weight), grad)
    exact = images.float().requires_grad_()
    expected = torch.autograd.grad(layer(exact), (exact, layer.weight), grad.float())
    torch.testing.assert_close(of_weight, expected[1])  # fp32 throughout
    assert torch.equal(of_inputs, expected[0].bfloat16())


def test_other_convolutions_stay_as_they_are():
    assert (
        fast_depthwise(
            nn.Sequential(
                nn.Conv2d(6, 6, 3),
                nn.Conv2d(1, 1, 3),
                nn.Conv2d(6, 6, 3, groups=6, padding_mode='reflect', bias=False),
                nn.Conv2d(6, 6, 3, groups=6, padding='same', bias=False),
            )
        )
        == 0
    )


def test_depthwise_in_fp32_stays_as_it_is():
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 4, 3, groups=4, bias=False)
    images = torch.randn(2, 4, 8, 8)
    expected = layer(images)
    fast_depthwise(layer)
    assert torch.equal(layer(images), expected)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    'pool',
    [
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d((3, 2), (2, 1), (1, 0), dilation=(1, 2)),
    ],
)
def test_pooling_outside_the_compiler_gives_the_same(cxx, pool, dtype):
    """Ties, odd sizes, both memory formats, and what comes before and after."""
    fast = nn.Sequential(nn.ReLU(), copy.deepcopy(pool))
    assert fast_pooling(fast) == 1
    compiled = torch.compile(fast)
    for form in (torch.contiguous_format, torch.channels_last):
        images = torch.randint(-3, 4, (2, 4, 9, 7)).to(dtype)
        results = []
        for network in (nn.Sequential(nn.ReLU(), pool), fast, compiled):
            leaf = images.clone(memory_format=form).requires_grad_()
            pooled = network(leaf)
            pooled.square().sum().backward()
            results.append((pooled, leaf.grad))
        for pooled, grad in results[1:]:
            torch.testing.assert_close(pooled, results[0][0], rtol=0, atol=0)
            torch.testing.assert_close(grad, results[0][1], rtol=0, atol=0)
        assert results[2][0].stride() == results[0][0].stride()


def test_only_plain_pooling_is_left_out_of_the_compiler():
    network = nn.Sequential(
        nn.MaxPool2d(2, return_indices=True), nn.AvgPool2d(2), nn.AdaptiveMaxPool2d(1)
    )
    assert fast_pooling(network) == 0
