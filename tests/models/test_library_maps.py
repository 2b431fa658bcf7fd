"""Feature maps of timm's and torchvision's networks under a student's weights."""

import pytest
import timm
import torch
from torch import nn

from mmdisco.errors import InputError
from mmdisco.models import (
    FeatureMaps,
    TimmMaps,
    TimmNetwork,
    TorchvisionMaps,
    TorchvisionNetwork,
)
from tests.models.test_timm_network import images, randomise


@pytest.mark.parametrize(
    'name, layers, behind',
    [
        ('test_resnet', ('layer1', 'layer2', 'layer3', 'layer4'), None),
        (
            'mobilenetv4_conv_small_035',
            ('blocks.0', 'blocks.1', 'blocks.2', 'blocks.4'),
            ('network.conv_head', 'network.norm_head'),
        ),
        ('repghostnet_050', ('blocks.1', 'blocks.3', 'blocks.5', None), None),
    ],
)
def test_timms_maps_are_the_outputs_of_its_stages(name, layers, behind):
    student = randomise(TimmNetwork(name, pooled_only=True)).eval()
    maps = FeatureMaps(student)
    x, seen = images(128, 96), {}
    for layer in filter(None, layers):
        student.network.get_submodule(layer).register_forward_hook(
            lambda module, _, output, layer=layer: seen.update({layer: output})
        )
    with torch.no_grad():
        student(x)
        outputs = maps(x)
    assert [o.shape[2:] for o in outputs] == [
        (128 // s, 96 // s) for s in (4, 8, 16, 32)
    ]
    for layer, output in zip(layers, outputs):
        if layer:
            torch.testing.assert_close(output, seen[layer], rtol=0, atol=0)
    assert maps.backbone.channels == [o.shape[1] for o in outputs]
    unused = maps.backbone.unused
    student_keys, kept = student.state_dict(), maps.backbone.state_dict()
    assert {*unused} == student_keys.keys() - kept.keys()
    if behind:
        assert {key.rsplit('.', 1)[0] for key in unused} == {*behind}


def test_torchvisions_maps_are_the_outputs_of_its_stages():
    student = randomise(TorchvisionNetwork('shufflenet_v2_x0_5')).eval()
    maps, net, x = FeatureMaps(student), student.network, images(128, 96)
    with torch.no_grad():
        outputs = maps(x)
        expected = [net.maxpool(net.conv1(x))]
        for stage in (net.stage2, net.stage3, net.stage4):
            expected.append(stage(expected[-1]))
        expected[-1] = net.conv5(expected[-1])  # of the same stride, before the mean
    for actual, value in zip(outputs, expected):
        torch.testing.assert_close(actual, value)
    assert maps.backbone.channels == [24, 48, 96, 1024] and not maps.backbone.unused


@pytest.mark.parametrize(
    'build',
    [
        lambda: TimmMaps('mobilenetv4_conv_small_035'),
        lambda: TorchvisionMaps('resnet18'),
    ],
)
def test_every_parameter_of_a_detectors_backbone_learns(build):
    backbone = build().train()
    sum(x.square().mean() for x in backbone(images(64, 64))).backward()
    assert all(p.grad is not None for p in backbone.parameters())


def test_norms_stay_in_eval_mode_if_asked():
    backbone = TimmMaps('test_resnet', norm_eval=True).train()
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert backbone.network.training


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: TimmMaps('test_vit'), 'has maps at 16, not at 4, 8, 16, 32'),
        (lambda: TimmMaps('densenet121'), 'no method for its maps'),
        (lambda: TimmMaps('resnet19'), "no network 'resnet19'; nearest: .*resnet18"),
        (lambda: TorchvisionMaps('resnet19'), 'nearest: .*resnet18'),
        (lambda: TorchvisionMaps('vit_b_16'), "'torchvision:vit_b_16' has "),
    ],
)
def test_networks_without_maps_are_refused(build, message):
    with pytest.raises(InputError, match=message) as raised:
        build()
    assert '\n' not in str(raised.value)


def test_strides_of_ones_own():
    backbone = TimmMaps('test_resnet', strides=(8, 16))
    reference = timm.create_model('test_resnet', features_only=True, out_indices=(2, 3))
    assert backbone.channels == reference.feature_info.channels()
