"""Students by name: features, widths, statistics, hosts, messages."""

import copy
import logging
import sys

import pytest
import timm
import torch
import torchvision
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.checkpoints import arch_config
from mmdisco.errors import InputError
from mmdisco.models import StudentTap, TimmNetwork, named_network
from mmdisco.models.fast.student import speed_up_student
from mmdisco.models.tap import width_of
from mmdisco.utils import quiet_init

# a convolution behind the last map: width of the map and of the feature
BEHIND = {
    'mobilenetv4_conv_small_035': (336, 1280),
    'mobilenetv3_small_050': (288, 1024),
    'lcnet_050': (256, 1280),
    'ghostnet_050': (480, 1280),
    'hgnetv2_b0': (1024, 2048),
}
MODULE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8, shape='map'):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.head = nn.Linear(width, 10)
        self.shape = shape

    def forward(self, x):
        maps = self.stem(x)
        return dict(map=maps, vector=maps.amax((2, 3)), pair=(0, [maps]),
                    tokens=maps.flatten(2), dict=dict(maps=maps))[self.shape]

    def init_weights(self):
        raise RuntimeError('called')

class Flat(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(3 * 32 * 32, 7))

def number():
    return 3
"""


def images(size=64, num=4, seed=0):
    return torch.randn(
        num, 3, size, size, generator=torch.Generator().manual_seed(seed)
    )


def built(config):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    with quiet_init():
        module = MODELS.build(copy.deepcopy(dict(config)))
        module.init_weights()
    return module


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user in the current folder."""
    (tmp_path / 'own_networks.py').write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [*sys.path])
    yield 'own_networks'
    sys.modules.pop('own_networks', None)


@pytest.mark.parametrize('name', BEHIND)
def test_a_student_goes_through_the_layers_behind_its_last_map(name):
    named, (maps, width) = named_network(name), BEHIND[name]
    assert (named.name, named.width, named.size) == (f'timm:{name}', width, None)
    network = built(named.backbone).eval()
    reference = timm.create_model(name, num_classes=0).eval()
    reference.load_state_dict(network.network.state_dict())
    x = images()
    with torch.no_grad():
        (feature,) = network(x)
        assert torch.equal(feature, reference(x))
        assert reference.forward_features(x).shape[1] == maps


def student(backbone, width, host='GlobalSimCLR', embed=16):
    neck = dict(
        type='MoCoV2Neck',
        in_channels=width,
        hid_channels=24,
        out_channels=embed,
        with_avg_pool=False,
    )
    head = dict(
        type='ContrastiveHead',
        temperature=0.2,
        loss=dict(type='CrossEntropyLoss'),
    )
    config = dict(type=host, backbone=backbone, neck=neck, head=head)
    if host == 'LeanMoCo':
        config.update(queue_len=8, feat_dim=embed)
    if host == 'PlainStudent':
        config.pop('head')
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    with quiet_init():
        model = MODELS.build(config)
        model.init_weights()
    return model.train()


@pytest.mark.parametrize(
    'name',
    [
        *BEHIND,
        'timm:test_vit',
        'timm:repvit_m0_9',
        'torchvision:shufflenet_v2_x0_5',
        'torchvision:squeezenet1_1',
        'mmpretrain:mobilevit-xxsmall_3rdparty_in1k',
        'mbv3',
    ],
)
def test_no_tensor_of_the_student_stays_as_initialised(name):
    named = named_network(name)
    size = 160 if name == 'timm:test_vit' else 64
    model = student(named.backbone, named.width)
    before = copy.deepcopy(model.backbone.state_dict())
    for step, lr in enumerate((0.1, 0.03)):  # unequal: opposite steps do not cancel
        optimizer = torch.optim.SGD(model.parameters(), lr)
        optimizer.zero_grad()
        views = [images(size, seed=2 * step + i) for i in range(2)]
        model.loss(views)['loss'].backward()
        for value in model.parameters():  # of any size, however small the gradient
            assert value.grad is not None
            value.grad = torch.nn.functional.normalize(value.grad, dim=None, eps=1e-38)
        optimizer.step()
    after = model.backbone.state_dict()
    assert before.keys() == after.keys()
    same = [key for key in before if torch.equal(before[key], after[key])]
    assert not same


@pytest.mark.parametrize('host', ['PlainStudent', 'LeanMoCo', 'GlobalSimCLR'])
@pytest.mark.parametrize('name', ['timm:test_resnet', 'r18'])
def test_hosts_and_the_tap_take_a_feature_without_maps(host, name):
    named = named_network(name)
    model = student(named.backbone, named.width, host)
    views = [images(seed=i) for i in range(2)]
    assert width_of(model) == 16
    with StudentTap(model) as tap:
        losses = model.loss(views)
        if host == 'PlainStudent':  # an algorithm without a loss
            assert losses == {}
    outputs = tap.views(views)
    assert all(view.embeds.shape == (4, 16) for view in outputs.values())
    sum(view.embeds.square().mean() for view in outputs.values()).backward()
    grads = [value.grad is not None for value in model.backbone.parameters()]
    assert all(grads)
    if host == 'LeanMoCo':
        queries, keys = model.backbone, model.encoder_k.module[0]
        assert not {*map(id, queries.parameters())} & {*map(id, keys.parameters())}
        assert keys(views[0])[0].shape == (4, named.width)


@pytest.mark.parametrize(
    'name', ['timm:test_efficientnet', 'torchvision:squeezenet1_1']
)
def test_a_faster_student_computes_the_same(name):
    named = named_network(name)
    models = [student(named.backbone, named.width, 'PlainStudent') for _ in range(2)]
    speed_up_student(models[1], channels_last=True, compile=False)
    embeds = [model.eval().neck(model.backbone(images()))[0] for model in models]
    torch.testing.assert_close(embeds[1], embeds[0], rtol=1e-4, atol=1e-5)


def test_timms_initial_weights_are_kept():
    torch.manual_seed(3)
    reference = timm.create_model('test_vit', num_classes=0, dynamic_img_size=True)
    torch.manual_seed(3)
    model = TimmNetwork('test_vit', pooled_only=True)
    model.init_weights()
    weights = model.network.state_dict()
    for key, value in reference.state_dict().items():
        assert torch.equal(weights[key], value), key


@pytest.mark.parametrize(
    'name, classifier, width',
    [
        ('resnet18', 'fc', 512),
        ('mobilenet_v3_small', 'classifier.3', 1024),
        ('squeezenet1_1', 'classifier.1', 512),
        ('googlenet', 'fc', 1024),
        ('convnext_tiny', 'classifier.2', 768),
    ],
)
def test_torchvisions_feature_is_the_input_of_its_classifier(name, classifier, width):
    named = named_network(f'torchvision:{name}')
    assert named.width == width and named.size is None
    network = built(named.backbone).eval()
    assert network.classifier == classifier
    options = dict(aux_logits=False, init_weights=True) if name == 'googlenet' else {}
    reference = torchvision.models.get_model(name, weights=None, **options).eval()
    weights = network.network.state_dict()
    assert {
        key for key in reference.state_dict() if not key.startswith(f'{classifier}.')
    } == weights.keys()
    reference.load_state_dict(weights, strict=False)
    seen = []
    reference.get_submodule(classifier).register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    x = images()
    with torch.no_grad():
        reference(x)
        (feature,) = network(x)
    # SqueezeNet's classifier is a convolution, followed by ReLU and mean
    expected = seen[0] if seen[0].dim() == 2 else seen[0].relu().mean((2, 3))
    torch.testing.assert_close(feature, expected)


def test_mmpretrains_networks_keep_the_names_of_their_tensors():
    named = named_network('mmpretrain:mobilevit-xxsmall_3rdparty_in1k')
    assert named.backbone['type'] == 'PooledBackbone'
    plain, network = built(named.backbone['backbone']), built(named.backbone)
    assert type(network) is type(plain)
    assert network.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(network.state_dict())
    plain.eval(), network.eval()
    with torch.no_grad():
        (feature,) = network(images())
        torch.testing.assert_close(feature, plain(images())[-1].mean((2, 3)))
    assert named.width == feature.shape[1] == 320
    assert named.mean is None  # its images are BGR
    rgb = named_network('mmpretrain:resnet18_8xb32_in1k')
    assert rgb.mean == [123.675, 116.28, 103.53] and rgb.width == 512


def test_bare_names_are_looked_up_in_order():
    assert named_network('r18').backbone['backbone'] == arch_config('r18').backbone
    assert named_network('resnet18').name == 'timm:resnet18'
    name = 'shufflenet_v2_x0_5'  # not in timm
    assert named_network(name).name == f'torchvision:{name}'
    tagged = named_network('resnet18.a1_in1k')
    assert tagged.backbone['name'] == 'resnet18.a1_in1k'
    vit = named_network('vit_tiny_patch16_224')
    assert vit.mean == [127.5] * 3 and vit.size is None
    assert named_network('timm:swin_tiny_patch4_window7_224').size == (224, 224)
    # a table of positions for 7x7, which 196 pixels also give
    assert named_network('timm:efficientformer_l1').size == (224, 224)


@pytest.mark.parametrize('shape', ['map', 'vector', 'pair'])
def test_a_network_of_the_user(own, shape, caplog):
    config = dict(
        type='ImportedNetwork', path=f'{own}:Net', options=dict(width=5, shape=shape)
    )
    network = built(config).eval()  # Net's own init_weights is not called
    x = images()
    maps = network.network.stem(x)
    expected = maps.amax((2, 3)) if shape == 'vector' else maps.mean((2, 3))
    torch.testing.assert_close(network(x)[0], expected)


def test_a_network_of_the_user_by_its_name(own, caplog):
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance('named')
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING, 'mmengine')
    named = named_network(f'{own}:Net')
    logger.removeHandler(caplog.handler)
    assert named == (
        f'{own}:Net',
        dict(type='ImportedNetwork', path=f'{own}:Net'),
        *(8, None, None, None),
        ('network.head.weight', 'network.head.bias'),
    )
    assert 'does not depend on 2 of 4 parameters, e.g. network.head' in caplog.text
    assert named_network(f'{own}:Flat')[2:] == (7, None, None, (32, 32), ())


@pytest.mark.parametrize(
    'name, message',
    [
        ('resnet1', 'no network is named .*timm:resnet18.*or package.module:Class'),
        ('timm:resnet1', "timm .* has no network 'resnet1'; nearest: .*resnet18"),
        ('timm:hf-hub:some/thing', 'timm .* has no network'),
        ('timm:inception_next_atto', 'returns a feature of width 0'),
        ('resnet18.nothing', 'Invalid pretrained tag'),
        ('torchvision:resnet1', 'no classification network.*resnet18'),
        ('mmpretrain:mobilevit', 'nearest: mobilevit-'),
        ('mmpretrain:blip-base_3rdparty_caption', 'has no backbone of images'),
        ('nowhere:Net', "can't be imported.*No module named"),
        ('own_networks:Nothing', "can't be imported.*AttributeError"),
        ('own_networks:', 'write it as package.module:Class'),
        ('own_networks:number', 'gives a int, should be a subclass of nn.Module'),
        ('torch.nn:Conv2d', "can't be built with the options {}: TypeError"),
        ('torch.nn:Identity', 'has no parameter'),
    ],
)
def test_a_wrong_name_is_one_line(own, name, message):
    with pytest.raises(InputError, match=message) as raised:
        named_network(name)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('shape', ['tokens', 'dict'])
def test_other_outputs_are_refused(own, shape):
    config = dict(type='ImportedNetwork', path=f'{own}:Net', options=dict(shape=shape))
    with pytest.raises(InputError, match='a student returns a feature'):
        built(config)(images())


def test_a_neck_of_tokens_refuses_a_pooled_network():
    network = TimmNetwork('test_vit', pooled_only=True)
    for neck, fits in (('ClassTokenNeck', False), ('PooledNeck', True)):
        part = MODELS.build(dict(type=neck, in_channels=64))
        if fits:
            part.check(network)
        else:
            with pytest.raises(InputError, match='set pooled_only=False'):
                part.check(network)


def test_looking_up_a_name_draws_no_random_number():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    named_network('timm:test_resnet')
    assert torch.equal(torch.rand(1), expected)
    assert isinstance(built(named_network('r18').backbone), nn.Module)
