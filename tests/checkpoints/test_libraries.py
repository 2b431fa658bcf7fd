"""Tensor names of timm and torchvision, both ways, against their networks."""

import pytest
import timm
import torch
import torchvision
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.checkpoints import arch_config, convert, fit, load_strictly, rename_to

TIMM = dict(
    effb0='efficientnet_b0',
    effb1='efficientnet_b1',
    mbv3='mobilenetv3_large_100',
    r18='resnet18',
    r34='resnet34',
    vitt='vit_tiny_patch16_224',
    xcitt='xcit_tiny_12_p16_224',
)
TORCHVISION = dict(
    effb0='efficientnet_b0',
    effb1='efficientnet_b1',
    mbv3='mobilenet_v3_large',
    r18='resnet18',
    r34='resnet34',
)


def randomize(network):
    """Set weights and statistics to distinct values."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, 0, 0.1)
    for name, value in network.named_parameters():
        if name.endswith(
            ('cls_token', 'pos_embed', 'gamma1', 'gamma2', 'gamma3', 'temperature')
        ):
            nn.init.normal_(value, 0.5, 0.1)
    network.eval()  # returns None in mmpretrain's backbones
    return network


def built(name):
    return randomize(MODELS.build(arch_config(name).backbone))


def feature(network, images):
    out = network(images)[-1]
    return out.mean((2, 3)) if out.dim() == 4 else out


def images_for(name):
    size = 224 if name in ('vitt', 'xcitt') else 64
    return torch.randn(2, 3, size, size, generator=torch.manual_seed(1))


def load_but_classifier(network, state_dict, classifier):
    """Load strictly, except for the classifier."""
    missing, unexpected = network.load_state_dict(state_dict, strict=False)
    assert not unexpected
    assert {key.rpartition('.')[0] for key in missing} <= {classifier}
    return network.eval()


def converted(content, name):
    conversion = convert(content)
    result = fit(conversion, arch_config(name))
    assert result.faults == 0
    return conversion, result


def close(actual, expected):
    torch.testing.assert_close(
        actual, expected, rtol=0, atol=2e-5 * float(expected.abs().max())
    )


@pytest.mark.parametrize('name', TIMM)
def test_round_trip_to_timm(name):
    """The round trip is exact, and timm's network gives the same output."""
    network, images = built(name), images_for(name)
    state = network.state_dict()
    renamed = rename_to('timm', name, state)
    back, _ = converted(dict(renamed), name)
    assert back.library == (
        'torchvision' if name in ('r18', 'r34') else 'timm'
    )  # both have the same names for a ResNet
    assert back.state_dict.keys() == {f'backbone.{k}' for k in state}
    for key, value in state.items():
        assert torch.equal(back.state_dict[f'backbone.{key}'], value), key
    other = timm.create_model(TIMM[name])
    classifier = other.default_cfg['classifier']
    load_but_classifier(other, renamed, classifier)
    with torch.no_grad():
        close(
            other.forward_head(other.forward_features(images), pre_logits=True),
            feature(network, images),
        )


@pytest.mark.parametrize('name', TORCHVISION)
def test_round_trip_to_torchvision(name):
    network, images = built(name), images_for(name)
    state = network.state_dict()
    renamed = rename_to('torchvision', name, state)
    options = dict(norm_layer=nn.BatchNorm2d) if name == 'mbv3' else {}
    other = getattr(torchvision.models, TORCHVISION[name])(**options)
    last = dict(mbv3='classifier.3', r18='fc', r34='fc').get(name, 'classifier.1')
    load_but_classifier(other, renamed, last)
    parent, _, leaf = last.rpartition('.')
    other.get_submodule(parent).add_module(leaf, nn.Identity())
    with torch.no_grad():
        close(other(images), feature(network, images))
    back, _ = converted(dict(renamed), name)
    assert back.library == 'torchvision'
    for key, value in state.items():
        assert torch.equal(back.state_dict[f'backbone.{key}'], value), key


def test_a_network_of_torchvision_keeps_its_batch_norm():
    """MobileNetV3 of torchvision has another BN eps than timm's."""
    source = randomize(torchvision.models.mobilenet_v3_large())
    conversion, result = converted(source.state_dict(), 'mbv3')
    assert result.backbone['norm_cfg']['eps'] == 0.001
    network = MODELS.build(result.backbone)
    load_strictly(network, {k[9:]: v for k, v in conversion.state_dict.items()}, '')
    source.classifier[3] = nn.Identity()
    network.eval()
    with torch.no_grad():
        close(feature(network, images_for('mbv3')), source(images_for('mbv3')))


@pytest.mark.parametrize(
    'library, name',
    [('torchvision', 'vitt'), ('torchvision', 'xcitt'), ('keras', 'r18')],
)
def test_networks_missing_in_a_library_are_errors(library, name):
    with pytest.raises(ValueError, match=f'{library} has no network like'):
        rename_to(library, name, {})


def test_a_key_without_a_name_is_not_dropped():
    with pytest.raises(ValueError, match="'layer9.weight' has no name in"):
        rename_to('timm', 'r18', {'layer9.weight': torch.zeros(1)})
