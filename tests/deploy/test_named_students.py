"""Files, exports and fusing of students of other libraries."""

import re
import sys

import numpy as np
import onnxruntime
import pytest
import timm
import torch
import torchvision
from mmengine.registry import init_default_scope
from mmengine.utils import digit_version
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.apis import FeatureExtractor
from mmdisco.checkpoints import load_student
from mmdisco.checkpoints.network import find_network
from mmdisco.deploy import export_student
from mmdisco.errors import InputError
from mmdisco.models import Pooled, named_network
from mmdisco.models.fast.reparameterize import fused
from mmdisco.utils import quiet_init
from tests.deploy.students import call
from tests.models.test_timm_network import randomise

TOOL = 'tools/export_student.py'
MEAN, STD = [120.0, 121.0, 122.0], [60.0, 61.0, 62.0]
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(),
                         nn.Conv2d(8, 16, 3, 2))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user, which the tools find though they run elsewhere."""
    (tmp_path / 'deployed_networks.py').write_text(NET)
    monkeypatch.setattr(sys, 'path', [*sys.path, str(tmp_path)])
    yield 'deployed_networks:Net'
    sys.modules.pop('deployed_networks', None)


def trained(name, config=None, size=64):
    """A backbone whose every layer matters, in eval mode, and its config."""
    init_default_scope('mmpretrain')
    config = config or named_network(name).backbone
    with quiet_init():
        network = MODELS.build(dict(config))
        network.init_weights()
    randomise(network)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # statistics of this batch only
        norm.reset_running_stats()
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 3, size, size))
    network.eval()  # returns None in some backbones
    return network, config


def save(path, network, config, **meta):
    weights = {f'backbone.{k}': v for k, v in network.state_dict().items()}
    meta = dict(backbone=config, normalisation=[MEAN, STD], **meta)
    torch.save(dict(state_dict=weights, meta=meta), path)
    return path


def images(size=64, num=3):
    return torch.randn(num, 3, size, size, generator=torch.Generator().manual_seed(5))


def feature(network, x):
    with torch.no_grad():
        return network(x)[0]


@pytest.mark.parametrize(
    'name',
    ['timm:test_efficientnet', 'torchvision:squeezenet1_1', 'r18', 'own']
    + ['mmpretrain:mobilevit-xxsmall_3rdparty_in1k'],
)
def test_a_file_of_any_student_is_loaded_by_what_it_records(name, tmp_path, own):
    spec = own if name == 'own' else name
    network, config = trained(spec)
    path = save(tmp_path / 'student.pth', network, config)
    student = load_student(str(path), own if name == 'own' else None)
    x = images()
    torch.testing.assert_close(
        Pooled(student.backbone)(x)[0], feature(network, x), rtol=0, atol=0
    )
    assert student.network.arch == (name if name == 'r18' else None)
    kept = student.network.backbone
    assert kept['type'] != 'PooledBackbone'  # a file names the network itself


@pytest.mark.parametrize('name', ['timm:test_efficientnet', 'own'])
def test_features_of_pictures_are_those_of_the_student(name, tmp_path, own):
    network, config = trained(own if name == 'own' else name)
    path = str(save(tmp_path / 'student.pth', network, config))
    arch = own if name == 'own' else None
    extractor = FeatureExtractor(path, arch=arch, resize=64, crop=64, device='cpu')
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    x = torch.tensor(pixels).permute(2, 0, 1)[None].float()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    expected = feature(network, (x - mean) / std)
    np.testing.assert_allclose(extractor(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'name', ['timm:test_efficientnet', 'torchvision:squeezenet1_1']
)
def test_a_published_file_is_loaded_again(name, tmp_path, monkeypatch):
    network, config = trained(name)
    path = save(tmp_path / 'student.pth', network, config)
    call(monkeypatch, 'tools/publish_model.py', path, tmp_path / 'out.safetensors')
    [published] = tmp_path.glob('out-*.safetensors')
    student = load_student(str(published))
    assert student.network.backbone == config
    assert torch.equal(feature(student.backbone, images()), feature(network, images()))


def test_a_strangers_class_is_not_imported(tmp_path, own, fails):
    network, config = trained(own)
    path = save(tmp_path / 'student.pth', network, config)
    sys.modules.pop('deployed_networks')
    with pytest.raises(InputError, match=f'if you trust this file, add --arch {own}'):
        load_student(str(path))
    line = fails(TOOL, path, tmp_path / 'x.pt2', '--format', 'exported-program')
    assert f"the class '{own}', which would be imported and run" in line
    with pytest.raises(InputError, match='would be imported'):
        load_student(str(path), 'other:Net')
    hidden = dict(
        type='PooledBackbone', backbone=dict(type='ImportedNetwork', path=own)
    )
    deep = dict(type='ResNet', depth=18, plugins=[dict(cfg=hidden['backbone'])])
    for backbone in (hidden, deep):
        with pytest.raises(InputError, match='would be imported'):
            find_network(dict(backbone=backbone))
    assert 'deployed_networks' not in sys.modules
    assert load_student(str(path), own).network.backbone == config


def test_another_network_than_the_users_is_refused(tmp_path):
    network, config = trained('timm:test_efficientnet')
    path = str(save(tmp_path / 'student.pth', network, config))
    assert load_student(path, 'timm:test_efficientnet').network.backbone == config
    for arch in ('timm:test_resnet', 'torchvision:resnet18', 'r18'):
        with pytest.raises(InputError, match=f"test_efficientnet.*--arch says '{arch}"):
            load_student(path, arch)


def test_an_extracted_file_records_the_users_class(tmp_path, monkeypatch, own):
    network, config = trained(own)
    path = save(tmp_path / 'student.pth', network, config)
    call(monkeypatch, 'tools/extract_backbone.py', path, tmp_path / 'alone.pth')
    student = load_student(str(tmp_path / 'alone.pth'), own)
    assert torch.equal(feature(student.backbone, images()), feature(network, images()))


# Networks that fuse their branches: batch norms, those left, merged convolutions.
FUSED = {
    'mobileone_s0': (226, 0, 148),
    'fastvit_t8': (70, 0, 16),
    'ghostnetv3_050': (326, 0, 172),
    'repghostnet_050': (112, 0, 0),
    'repvit_m0_9': (106, 0, 23),
    'ghostnetv2_100': (122, 0, 0),  # timm itself fuses none of these
    'densenet121': (121, 62, 0),  # before the convolutions
}


@pytest.mark.parametrize('name', FUSED)
def test_fused_networks_give_the_same_feature(name):
    network, _ = trained(f'timm:{name}')
    x = images(num=2)
    account = fused(Pooled(network).eval(), x)
    norms, left, merged = FUSED[name]
    assert (account.norms, len(account.left), account.merged) == (norms, left, merged)
    expected = feature(network, x)
    assert expected.std(0).mean() > 0.01 * expected.abs().max()
    torch.testing.assert_close(
        feature(account.network, x),
        expected,
        rtol=0,
        atol=1e-4 * expected.abs().max().item(),
    )
    remaining = [m for m in account.network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(remaining) == left


class Residual(nn.Module):
    """The second convolution feeds the sum beside its norm."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x):
        x = self.conv2(self.bn1(self.conv1(x)))
        return (x + self.bn2(x),)


def test_a_norm_beside_a_residual_connection_remains():
    network = randomise(Residual()).eval()
    account = fused(network, images())
    assert account.left == ['bn2'] and isinstance(account.network.bn1, nn.Identity)
    torch.testing.assert_close(
        account.network(images()), network(images()), rtol=1e-4, atol=1e-4
    )


class Tuple(nn.Sequential):
    def forward(self, x):
        return (super().forward(x),)


class Broken(nn.Sequential):
    def fuse(self):
        raise RuntimeError('not yet')


def test_branches_that_cannot_be_fused_stay():
    layers = Broken(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    account = fused(Tuple(randomise(layers)).eval(), images())
    assert (account.merged, account.left) == (0, [])
    assert '1 of 1 batch norms' in account.report()


@pytest.mark.parametrize('fuse', [True, False])
def test_a_graph_is_fused_unless_it_should_not_be(fuse, tmp_path, capsys, monkeypatch):
    network, config = trained('timm:test_resnet')
    path = save(tmp_path / 'student.pth', network, config)
    out = tmp_path / 'student.pt2'
    args = () if fuse else ('--no-fuse',)
    call(
        monkeypatch,
        TOOL,
        path,
        out,
        '--format',
        'exported-program',
        '--size',
        64,
        *args,
    )
    report = capsys.readouterr().out
    assert ('fused        15 of 15 batch norms' in report) == fuse
    program = torch.export.load(out)
    norms = [k for k in program.state_dict if k.endswith('running_var')]
    assert len(norms) == (0 if fuse else 15)
    torch.testing.assert_close(
        program.module()(images())[0], feature(network, images()), rtol=0, atol=1e-4
    )


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.8.0'), reason='needs torch 2.8'
)
@pytest.mark.parametrize(
    'name', ['timm:test_efficientnet', 'torchvision:squeezenet1_1']
)
def test_onnx_of_a_library_network(name, tmp_path):
    network, config = trained(name)
    path = save(tmp_path / 'student.pth', network, config)
    out = tmp_path / 'student.onnx'
    export_student(str(path), str(out), 'onnx', size=64)
    session = onnxruntime.InferenceSession(str(out))
    [actual] = session.run(None, {'images': images().numpy()})
    expected = feature(network, images())
    torch.testing.assert_close(
        torch.from_numpy(actual),
        expected,
        rtol=0,
        atol=1e-4 * expected.abs().max().item(),
    )


@pytest.mark.parametrize(
    'name, options',
    [('test_efficientnet', {}), ('repghostnet_050', {})]
    + [('test_vit', dict(dynamic_img_size=True)), ('test_vit', dict(img_size=64))],
)
def test_timm_gets_its_own_names_bit_by_bit(
    name, options, tmp_path, monkeypatch, capsys
):
    config = dict(type='TimmNetwork', name=name, pooled_only=True, **options)
    network, _ = trained(None, config)
    path = save(tmp_path / 'student.pth', network, config)
    out = tmp_path / 'timm.safetensors'
    call(monkeypatch, TOOL, path, out, '--format', 'timm', '--size', 64)
    how = re.search(r'load with +(timm.*)', capsys.readouterr().out)[1]
    assert how.startswith(f"timm.create_model('{name}', num_classes=0")
    from safetensors.torch import load_file

    weights, before = load_file(out), network.network.state_dict()
    assert weights.keys() == before.keys()
    assert all(torch.equal(weights[key], before[key]) for key in before)
    loaded = eval(how)
    loaded.load_state_dict(weights, strict=True)
    with torch.no_grad():
        actual = loaded.eval()(images())
    assert torch.equal(actual, feature(network, images()))


def test_torchvision_gets_its_own_names_bit_by_bit(tmp_path, monkeypatch, capsys):
    network, config = trained('torchvision:shufflenet_v2_x0_5')
    path = save(tmp_path / 'student.pth', network, config)
    out = tmp_path / 'torchvision.pth'
    call(monkeypatch, TOOL, path, out, '--format', 'torchvision', '--size', 64)
    assert "get_model('shufflenet_v2_x0_5') without fc" in capsys.readouterr().out
    loaded = torchvision.models.shufflenet_v2_x0_5()
    loaded.fc = nn.Identity()
    loaded.load_state_dict(torch.load(out, weights_only=True), strict=True)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images()), feature(network, images()))


@pytest.mark.parametrize('name', ['own', 'mmpretrain:mobilevit-xxsmall_3rdparty_in1k'])
def test_a_state_dict_has_the_networks_own_names(name, tmp_path, own, monkeypatch):
    spec = own if name == 'own' else name
    network, config = trained(spec)
    path, out = save(tmp_path / 's.pth', network, config), tmp_path / 'weights.pth'
    arch = ('--arch', own) if name == 'own' else ()
    call(monkeypatch, TOOL, path, out, '--format', 'state-dict', '--size', 64, *arch)
    if name == 'own':
        from deployed_networks import Net

        plain = Net()
    else:
        plain = MODELS.build(config['backbone'])
    plain.load_state_dict(torch.load(out, weights_only=True), strict=True)
    plain.eval()
    with torch.no_grad():
        output = plain(images())
    last = output[-1] if isinstance(output, tuple) else output
    torch.testing.assert_close(last.mean((2, 3)), feature(network, images()))


def test_formats_that_do_not_fit_are_one_line(tmp_path, fails, own):
    network, config = trained('timm:test_efficientnet')
    path, out = save(tmp_path / 'student.pth', network, config), tmp_path / 'x.pth'

    def line(format, *args):
        return fails(TOOL, path, out, '--format', format, *args)

    assert "no network like TimmNetwork 'test_efficientnet'" in line('torchvision')
    assert '--fuse is for graphs' in line('timm', '--fuse')
    assert '--feature-maps is for graphs' in line('state-dict', '--feature-maps')


def test_files_under_pooled_training_are_those_of_the_arch(tmp_path, monkeypatch):
    network, config = trained('r18')
    path, out = save(tmp_path / 's.pth', network, config), tmp_path / 'timm.pth'
    call(monkeypatch, TOOL, path, out, '--format', 'timm', '--size', 64)
    loaded = timm.create_model('resnet18', num_classes=0).eval()
    loaded.load_state_dict(torch.load(out, weights_only=True))
    with torch.no_grad():
        torch.testing.assert_close(loaded(images()), feature(network, images()))


def test_feature_maps_of_a_network_of_timm(tmp_path, monkeypatch, capsys):
    network, config = trained('timm:mobilenetv4_conv_small_035')
    path, out = save(tmp_path / 's.pth', network, config), tmp_path / 'maps.pt2'
    args = ('--format', 'exported-program', '--size', 64, '--feature-maps')
    call(monkeypatch, TOOL, path, out, *args)
    report = capsys.readouterr().out
    assert 'output       stride32 [N, 336, 2, 2]' in report
    with torch.no_grad():
        maps = torch.export.load(out).module()(images())
        expected = network.network.forward_features(images())
    torch.testing.assert_close(
        maps[-1], expected, rtol=0, atol=1e-4 * expected.abs().max().item()
    )


def test_nothing_is_downloaded_for_a_file():
    """mmpretrain's TIMMBackbone passes on addresses to timm."""
    backbone = dict(type='TIMMBackbone', model_name='hf-hub:someone/net')
    with pytest.raises(InputError, match="is at the address 'hf-hub:someone/net'"):
        find_network(dict(backbone=dict(backbone)))
    backbone['model_name'] = 'test_resnet'
    assert find_network(dict(backbone=backbone)).backbone == backbone
