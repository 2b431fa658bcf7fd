"""ViTDet's pyramid against a sequence of PyTorch layers."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn import functional as F

from mmdisco.detection import SimpleFeaturePyramid
from mmdisco.errors import InputError

C, OUT = 16, 8


@pytest.fixture(autouse=True)
def mmdet_scope(scope):
    init_default_scope('mmdet')


class Norm(nn.Module):
    """Layer norm over the channels of each position, written out."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        var = (x - mean).square().mean(1, keepdim=True)
        x = (x - mean) / (var + 1e-6).sqrt()
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def plain_features(stride):
    """Build Section 3 of the paper; each deconvolution halves the channels."""
    resized = {
        4: [
            nn.ConvTranspose2d(C, C // 2, 2, 2),
            Norm(C // 2),
            nn.GELU(),
            nn.ConvTranspose2d(C // 2, C // 4, 2, 2),
        ],
        8: [nn.ConvTranspose2d(C, C // 2, 2, 2)],
        16: [],
        32: [nn.MaxPool2d(2, 2)],
    }[stride]
    width = {4: C // 4, 8: C // 2}.get(stride, C)
    return nn.Sequential(
        *resized,
        nn.Conv2d(width, OUT, 1, bias=False),
        Norm(OUT),
        nn.Conv2d(OUT, OUT, 3, padding=1, bias=False),
        Norm(OUT),
    )


def pyramid(**kwargs):
    torch.manual_seed(0)
    neck = MODELS.build(
        dict(type='SimpleFeaturePyramid', in_channels=C, out_channels=OUT, **kwargs)
    )
    for tensor in neck.parameters():
        nn.init.normal_(tensor, std=0.5)  # norms are not shared either
    return neck


@pytest.fixture
def image_map():
    return torch.randn(2, C, 4, 6, generator=torch.manual_seed(1))


@pytest.mark.parametrize('strides', [(4, 8, 16, 32), (8, 16, 32), (16, 32), (4,)])
def test_each_level_is_that_of_plain_layers(image_map, strides):
    neck = pyramid(strides=strides, num_outs=len(strides))
    outs = neck([image_map])
    assert len(outs) == len(strides) == len(neck.levels)
    for stride, out, level in zip(strides, outs, neck.levels, strict=True):
        layers = plain_features(stride)
        layers.load_state_dict(level.state_dict())
        assert out.shape == (2, OUT, 64 // stride, 96 // stride)
        torch.testing.assert_close(out, layers(image_map), rtol=1e-4, atol=1e-5)


def test_faster_rcnns_fifth_level_is_every_other_position(image_map):
    outs = pyramid()([image_map])
    assert [o.shape[2:] for o in outs] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    assert torch.equal(outs[4], outs[3][:, :, ::2, ::2])


def test_retinanets_last_levels_are_convolutions_of_the_one_before(image_map):
    neck = pyramid(strides=(8, 16, 32), num_outs=5, add_extra_convs=True)
    outs = neck((image_map,))
    assert [o.shape[2:] for o in outs] == [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]
    for conv, before, after in zip(neck.extra_convs, outs[2:4], outs[3:], strict=True):
        torch.testing.assert_close(
            after, F.conv2d(before, conv.weight, conv.bias, stride=2, padding=1)
        )


def test_positions_of_other_levels_are_not_mixed_in(image_map):
    """The top-left corner of the map affects only its neighbourhood."""
    neck = pyramid()
    changed = image_map.clone()
    changed[:, :, 0, 0] += 1
    for stride, a, b in zip(
        (4, 8, 16, 32), neck([image_map]), neck([changed]), strict=False
    ):
        moved = (a - b).abs().amax((0, 1)) > 1e-5
        reach = max(16 // stride, 1) + 1  # and the 3x3 convolution's margin
        assert moved[:reach, :reach].all()
        assert not moved[reach:].any() and not moved[:, reach:].any()


def test_each_parameter_gets_a_gradient(image_map):
    neck = pyramid(strides=(8, 16, 32), num_outs=5, add_extra_convs=True)
    sum(o.square().sum() for o in neck([image_map])).backward()
    for name, tensor in neck.named_parameters():
        assert tensor.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(strides=(8, 32)), r'consecutive ones of \(4, 8, 16, 32\), got \(8, 32'),
        (dict(strides=()), r'consecutive ones of .* got \(\)'),
        (dict(strides=(16, 8)), 'consecutive ones of'),
        (dict(strides=(32, 64)), 'consecutive ones of'),
        (dict(num_outs=3), 'num_outs=3 is less than the number of strides'),
        (dict(in_channels=18), 'in_channels=18 is not a multiple of 4, as str'),
        (dict(in_channels=9, strides=(8, 16)), 'not a multiple of 2, as stride 8'),
        (dict(in_channels=0, strides=(16,), num_outs=1), 'in_channels=0'),
    ],
)
def test_invalid_arguments_are_errors(kwargs, words):
    with pytest.raises(InputError, match=words):
        SimpleFeaturePyramid(**{'in_channels': C, **kwargs})


def test_odd_channels_do_without_deconvolutions(image_map):
    neck = SimpleFeaturePyramid(9, OUT, strides=[16, 32], num_outs=2)
    assert neck([image_map[:, :9]])[1].shape == (2, OUT, 2, 3)


def test_a_backbone_of_several_maps_is_refused(image_map):
    with pytest.raises(InputError, match='one map.* returns 2: set a single'):
        pyramid()([image_map, image_map])
