"""Networks of torchvision and mmpretrain as teachers without a head."""

import pytest
import torch
import torchvision
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.errors import InputError
from mmdisco.models import FrozenTeacher, PooledNeck, TorchvisionNetwork
from mmdisco.zoo import teacher_config
from tests.models.test_timm_network import images, randomise


@pytest.fixture
def log(monkeypatch):
    lines = []
    for module in ('models.teacher', 'checkpoints.checkpoint'):
        monkeypatch.setattr(
            f'mmdisco.{module}.print_log', lambda line, **_: lines.append(line)
        )
    return lines


def features(network, x):
    """Input of the last layer of torchvision's network, by a hook."""
    last = [m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d))][-1]
    seen = []
    last.register_forward_hook(lambda m, inputs, out: seen.append(inputs[0]))
    with torch.no_grad():
        network.eval()(x)
    return seen[0]


@pytest.mark.parametrize(
    'name, classifier',
    [
        ('resnet18', 'fc'),
        ('mobilenet_v3_small', 'classifier.3'),
        ('shufflenet_v2_x0_5', 'fc'),
        ('densenet121', 'classifier'),
        ('mnasnet0_5', 'classifier.1'),
    ],
)
def test_torchvisions_files_are_read_without_the_classifier(
    name, classifier, tmp_path, log
):
    network = randomise(torchvision.models.get_model(name, weights=None))
    tensors = network.state_dict()
    if name == 'densenet121':  # names and counters of torchvision 0.1
        tensors = {
            key.replace('norm1.', 'norm.1.')
            .replace('conv1.', 'conv.1.')
            .replace('norm2.', 'norm.2.')
            .replace('conv2.', 'conv.2.')
            if 'denselayer' in key
            else key: value
            for key, value in tensors.items()
            if 'num_batches' not in key
        }
        assert 'features.denseblock1.denselayer1.norm.1.weight' in tensors
    config = teacher_config(f'torchvision:{name}')
    path = str(tmp_path / 'file.pth')
    torch.save(tensors, path)
    teacher = MODELS.build(dict(config, checkpoint=path))
    x = images(64, 64)
    expected = features(network, x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(teacher(x), expected, rtol=0, atol=1e-5)
    line = next(line for line in log if line.startswith(f"torchvision's '{name}'"))
    assert f'left out 2: classifier ({classifier}.weight, {classifier}.bias)' in line
    assert ('counters of batches added' in line) == (name == 'densenet121')
    assert 'images of mean [123.675, 116.28, 103.53]' in line
    for change, words in (
        (lambda t: t.pop(next(iter(t))), '1 missing'),
        (lambda t: t.update(extra=torch.ones(1)), '1 unexpected, e.g. extra'),
        (lambda t: t.update({next(iter(t)): torch.ones(2)}), 'of another shape'),
    ):
        changed = dict(tensors)
        change(changed)
        torch.save(changed, path)
        with pytest.raises(InputError, match=words) as error:
            MODELS.build(dict(config, checkpoint=path))
        assert '\n' not in str(error.value)


def test_published_addresses_are_torchvisions():
    for name, tag in (('resnet50', 'IMAGENET1K_V1'), ('vit_b_16', None)):
        weights = torchvision.models.get_model_weights(name)
        weights = weights[tag] if tag else weights.DEFAULT
        config = teacher_config(f'torchvision:{name}' + (f'.{tag}' if tag else ''))
        assert config['url'] == weights.url
        assert config['checkpoint'] == f'checkpoints/{weights.url.rsplit("/")[-1]}'
        assert config['mean'] == pytest.approx([123.675, 116.28, 103.53])
    with pytest.raises(InputError, match="'V9' of 'resnet50': use one of IMAGENET1K"):
        teacher_config('torchvision:resnet50.V9')
    with pytest.raises(InputError, match="no classification network 'resnet_50'"):
        teacher_config('torchvision:resnet_50')


def test_weights_that_need_other_images_are_refused(tmp_path):
    path = str(tmp_path / 'googlenet.pth')
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(InputError, match="transform_input.*use timm's 'googlenet'"):
        MODELS.build(dict(teacher_config('torchvision:googlenet'), checkpoint=path))


def test_statistics_of_torchvision_are_the_default():
    network = TorchvisionNetwork('shufflenet_v2_x0_5')
    assert FrozenTeacher(network, PooledNeck(1024)).renormalize.std == [
        58.395,
        57.12,
        57.375,
    ]
    with pytest.raises(InputError, match="'shufflenet_v2_x0_5' is 1024 wide: set in_"):
        FrozenTeacher(network, PooledNeck(512))


@pytest.mark.parametrize(
    'backbone, width',
    [
        (dict(type='ResNet', depth=18, base_channels=8, stem_channels=8), 64),
        (dict(type='MobileNetV2', widen_factor=0.25), 1280),
        # pooled before its last norm: a vector
        (dict(type='ConvNeXt', arch='atto', layer_scale_init_value=0.5), 320),
        (
            dict(
                type='VisionTransformer',
                arch=dict(
                    embed_dims=32,
                    num_layers=2,
                    num_heads=2,
                    feedforward_channels=64,
                ),
                img_size=64,
                out_type='cls_token',
            ),
            32,
        ),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else None,
)
def test_mmpretrains_files_are_read_without_the_classifier(
    backbone, width, tmp_path, log
):
    """The classifier of mmpretrain itself gives the expected feature."""
    init_default_scope('mmpretrain')
    maps = backbone['type'] in ('ResNet', 'MobileNetV2')
    classifier = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(backbone),
            neck=dict(type='GlobalAveragePooling') if maps else None,
            head=dict(type='LinearClsHead', num_classes=10, in_channels=width),
        )
    )
    randomise(classifier).eval()
    path = str(tmp_path / 'mmpretrain.pth')
    torch.save(dict(meta={}, state_dict=classifier.state_dict()), path)
    teacher = FrozenTeacher(
        dict(backbone), dict(type='PooledNeck', in_channels=width), path
    )
    x = images(64, 64)
    with torch.no_grad():
        expected = classifier.extract_feat(x)[-1]
    assert expected.std() > 1e-3
    torch.testing.assert_close(teacher(x), expected, rtol=0, atol=1e-5)
    assert any('left out 2: ' in line and 'head.fc' in line for line in log)
    other = FrozenTeacher(dict(backbone), dict(type='PooledNeck', in_channels=7), path)
    with pytest.raises(InputError, match=f'in_channels=7.*is {width} wide'):
        other(x)


def test_models_of_mmpretrains_index(tmp_path):
    config = teacher_config('mmpretrain:mobilenet-v2_8xb32_in1k')
    assert config['backbone']['type'] == 'MobileNetV2'
    assert config['neck'] == dict(type='PooledNeck', in_channels=1280)
    assert config['mean'] == [123.675, 116.28, 103.53]
    file = 'mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth'
    assert config['url'].endswith(f'/mobilenet_v2/{file}')
    assert config['checkpoint'] == f'checkpoints/{file}'
    network = randomise(MODELS.build(config['backbone']))
    network.eval()  # returns None
    path = str(tmp_path / 'file.pth')
    weights = {f'backbone.{k}': v for k, v in network.state_dict().items()}
    weights |= {'head.fc.weight': torch.ones(2, 1280), 'head.fc.bias': torch.ones(2)}
    torch.save(dict(state_dict=weights), path)
    x = images(64, 64)
    with torch.no_grad():
        expected = network(x)[-1].mean((2, 3))
    actual = MODELS.build(dict(config, checkpoint=path))(x)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="mmpretrain has no model 'nothing'"):
        teacher_config('mmpretrain:nothing')


def test_other_outputs_have_no_pooled_feature():
    with pytest.raises(InputError, match='needs a vector.*returns .1, 2, 3.'):
        PooledNeck(3)((torch.ones(1, 2, 3),))
