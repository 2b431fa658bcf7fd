"""The teacher rewritten for speed gives the embeddings of the plain one."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.models import FrozenTeacher
from mmdisco.models.fast.teacher import (
    Compiled,
    Encoder,
    fuse_norms,
    inductor_config,
    norm_pairs,
)
from tests.models.toy import ToyBackbone

BACKBONES = dict(
    r18=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    r50=dict(type='ResNet', depth=50, stem_channels=8, base_channels=8),
    mbv3=dict(type='MobileNetV3Pooled'),
    effb0=dict(type='EfficientNet', arch='b0'),
)


def settle(network):
    """Give BN running statistics other than zero and one, as after training."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    network.train(False)
    return network


@pytest.fixture
def networks():
    neck = dict(
        type='NonLinearNeck',
        in_channels=64,
        hid_channels=16,
        out_channels=8,
        norm_cfg=dict(type='BN1d'),
    )
    return [settle(MODELS.build(cfg)) for cfg in (BACKBONES['r18'], neck)]


@pytest.fixture
def logged(monkeypatch):
    """The logged lines."""
    lines = []
    monkeypatch.setattr(
        'mmdisco.models.fast.teacher.print_log',
        lambda line, logger=None, level=logging.INFO: lines.append(line),
    )
    return lines


@pytest.mark.parametrize('name', BACKBONES)
def test_folded_networks_have_no_norm_left_and_equal_the_plain(name):
    network = settle(MODELS.build(BACKBONES[name]))
    images = torch.randn(3, 3, 64, 64)
    count = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert len(norm_pairs(network, images)) == count
    fused = fuse_norms(network, images)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    with torch.no_grad():
        expected, actual = (net(images)[-1] for net in (network, fused))
    torch.testing.assert_close(
        actual, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
    )


@pytest.mark.parametrize(
    'options',
    [
        dict(fuse=True),
        dict(channels_last=True),
        dict(dtype='bf16'),
        dict(fuse=True, channels_last=True, dtype='bf16'),
    ],
    ids=str,
)
def test_every_rewriting_keeps_the_embeddings(networks, logged, options):
    images = torch.randn(4, 3, 64, 64)
    expected = FrozenTeacher(*networks)(images)
    teacher = FrozenTeacher(*networks, **options)
    for _ in range(2):  # the compared batch and the next
        actual = teacher(images)
        assert actual.dtype == torch.float32
        error = (actual - expected).norm() / expected.norm()
        assert error < (0.05 if 'dtype' in options else 1e-4)
    [line] = logged
    assert line.startswith('Teacher: ')
    weight = teacher.backbone.layer4[0].conv1.weight
    assert (weight.dtype == torch.bfloat16) == ('dtype' in options)
    assert weight.is_contiguous(memory_format=torch.channels_last) == (
        'channels_last' in options
    )
    assert isinstance(teacher.backbone.bn1, nn.Identity) == ('fuse' in options)


class Twice(ToyBackbone):
    """Reads the output of a convolution that a BN reads, too."""

    def forward(self, x):
        x = self.conv1(x)
        return (self.conv2(self.bn1(x) + 3 * x.flip(1)),)


def test_a_network_that_can_not_be_folded_stays_plain(logged):
    backbone, neck = settle(Twice(8, 16)), nn.Flatten()
    backbone.bn1.running_mean.normal_(0, 3)
    images = torch.randn(2, 3, 16, 16)
    expected = FrozenTeacher(backbone, nn.Sequential(Last(), neck))(images)
    teacher = FrozenTeacher(backbone, nn.Sequential(Last(), neck), fuse=True)
    assert torch.equal(teacher(images), expected)
    assert 'it is not used' in logged[0]
    assert isinstance(teacher.backbone.bn1, nn.BatchNorm2d)


class Last(nn.Module):
    def forward(self, feats):
        return feats[-1]


def test_a_network_that_computes_parts_in_fp32_can_be_bf16(logged):
    """XCiT computes its positions in fp32 for any dtype of its weights."""
    backbone = settle(
        MODELS.build(
            dict(type='XCiT', embed_dims=32, depth=1, num_heads=2, tokens_norm=True)
        )
    )
    neck = MODELS.build(
        dict(type='DINONeck', in_channels=32, hid_channels=16, out_channels=8)
    )
    images = torch.randn(2, 3, 32, 32)
    expected = FrozenTeacher(backbone, neck)(images)
    actual = FrozenTeacher(backbone, neck, dtype='bf16')(images)
    assert actual.dtype == torch.float32 and 'bf16' in logged[0]
    assert not torch.equal(actual, expected)  # it computed in bf16
    torch.testing.assert_close(actual, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    'options', [dict(channels_last=True), dict(dtype='bf16')], ids=str
)
def test_batch_mode_can_be_rewritten(networks, logged, options):
    """No trial on a single image, since BN needs a batch. Rounding may differ too
    much here; then the plain network is used."""
    images = torch.randn(4, 3, 32, 32)
    expected = FrozenTeacher(*networks, norm_mode='batch')(images)
    actual = FrozenTeacher(*networks, norm_mode='batch', **options)(images)
    assert len(logged) == 1
    if 'dtype' not in options:
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('norm_mode, calls', [('eval', 1), ('batch', 2)])
def test_views_of_one_size_go_together_where_rows_are_alone(networks, norm_mode, calls):
    teacher = FrozenTeacher(*networks, norm_mode=norm_mode)
    views = [torch.randn(4, 3, 32, 32) for _ in range(2)]
    expected = [teacher(view) for view in views]
    batches = []
    teacher.backbone.register_forward_hook(
        lambda module, inputs, output: batches.append(len(inputs[0]))
    )
    actual = teacher(views)
    assert len(batches) == calls
    for embeds, target in zip(actual, expected):
        torch.testing.assert_close(embeds, target, rtol=1e-4, atol=1e-5)


def test_without_a_compiler_it_goes_on_in_one_line(networks, logged, monkeypatch):

    def compiled(module):

        def run(images):
            raise RuntimeError(
                'InvalidCxxCompiler: no working C++ compiler\nand a long story'
            )

        return run

    monkeypatch.setattr(torch, 'compile', compiled)
    images = torch.randn(2, 3, 32, 32)
    teacher = FrozenTeacher(*networks, compile=True, fuse=True)
    torch.testing.assert_close(
        teacher(images), FrozenTeacher(*networks)(images), rtol=1e-4, atol=1e-5
    )
    assert 'no working C++ compiler' in logged[0] and '\n' not in logged[0]
    assert logged[1].startswith('Teacher: BN folded; ')


def test_a_compiled_teacher_gives_the_same(cxx, logged):
    torch.manual_seed(0)
    networks = (
        settle(ToyBackbone(8, 16)),
        nn.Sequential(Last(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 8)),
    )
    images = torch.randn(2, 3, 32, 32)
    teacher = FrozenTeacher(*networks, compile=True)
    torch.testing.assert_close(
        teacher(images), FrozenTeacher(*networks)(images), rtol=1e-4, atol=1e-5
    )
    assert 'compiled' in logged[0] and not isinstance(teacher._run[0], Encoder)


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason='torch was built without oneDNN'
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_a_compiled_network_joins_activations_to_convolutions(cxx, dtype):
    """For each size, without a trace of the setting outside."""
    torch.manual_seed(0)
    encoder = Encoder(
        nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ).requires_grad_(False)
    encoder.rewrite(dtype, channels_last=True)
    run = Compiled(encoder)
    for size in (32, 32, 24, 40):
        images = torch.randn(2, 3, size, size)
        expected = encoder(images)
        embeds = run(images)
        torch.testing.assert_close(embeds, expected, rtol=1e-2, atol=1e-3)
        if dtype == torch.float32:
            torch.testing.assert_close(embeds, expected, rtol=1e-4, atol=1e-5)
    with torch.profiler.profile() as profile:
        run(images)
    names = {event.key for event in profile.key_averages()}
    assert 'mkldnn::_convolution_pointwise' in names
    assert not inductor_config().freezing
    assert run.plain is encoder


def test_the_log_says_what_was_done(networks, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    FrozenTeacher(*networks, fuse=True)(torch.randn(2, 3, 32, 32))
    logger.removeHandler(caplog.handler)
    assert 'Teacher: BN folded; lowest cosine' in caplog.text
