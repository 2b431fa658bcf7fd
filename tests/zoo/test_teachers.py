"""Teachers by name: complete information, and configs that fit timm's networks."""

import runpy

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from safetensors.torch import save_file

from mmdisco.checkpoints.licence import licence_of, licence_of_url
from mmdisco.errors import InputError, MissingFileError
from mmdisco.models import FrozenTeacher
from mmdisco.zoo import find, list_teachers, teacher_config
from tests.models.test_timm_network import images, randomise
from tests.tools import ROOT

FOLDER = ROOT / 'configs/_base_/teachers'
INFO = {info.name: info for info in list_teachers()}


def test_each_config_is_listed_with_its_data():
    assert {*INFO} == {path.stem for path in FOLDER.glob('*.py')}
    for name, info in INFO.items():
        data = find(name).metadata
        assert info.config == str(FOLDER / f'{name}.py')
        assert info.params == data['Parameters']
        assert info.licence in str(licence_of_url(info.url) or licence_of(info.url))
        assert info.commercial == data.get('Commercial Use')
    assert INFO['dinov2_vits14'][3:] == (
        22056192,
        384,
        'class token',
        224,
        14,
        'Apache-2.0',
        True,
        'of code and weights, by its README',
        False,
        False,
        'facebookresearch/dinov2',
        'https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/'
        'dinov2_vits14_pretrain.pth',
        '81.1 linear',
    )
    assert INFO['eupe_vits16'].commercial is False
    assert INFO['r101'].commercial is None and INFO['r101'].head
    assert INFO['convnext_tiny_in1k'].supervised
    assert INFO['tipsv2_vitb14'].figure == '79.8 kNN'


@pytest.mark.parametrize('name', [n for n, info in INFO.items() if info.head])
def test_the_width_of_a_head_is_that_of_its_output(name):
    init_default_scope('mmpretrain')
    config = teacher_config(name)
    neck = MODELS.build(config['neck']).eval()
    x = torch.zeros(2, config['neck']['in_channels'])
    if config['backbone']['type'] == 'ResNet':
        x = x[:, :, None, None]
    assert neck((x,))[0].shape == (2, INFO[name].width)


def test_a_teachers_config_is_a_copy():
    config = teacher_config('siglip2_vitb16')
    assert config == Config.fromfile(INFO['siglip2_vitb16'].config).teacher.to_dict()
    assert config['mean'] == [127.5] * 3
    config['neck'].clear()
    assert teacher_config('siglip2_vitb16')['neck']


@pytest.mark.parametrize(
    'name', [n for n, info in INFO.items() if not info.head and 'efflite' not in n]
)
def test_timms_own_data_give_the_same_config(name):
    config = teacher_config(name)
    by_timm = teacher_config(f'timm:{config["backbone"]["name"]}')
    assert by_timm['neck'] == config['neck']
    for key in ('mean', 'std'):
        assert by_timm[key] == pytest.approx(config[key])


@pytest.mark.parametrize(
    'name, neck, full',
    [
        ('test_vit', 'ClassTokenNeck', 'test_vit.r160_in1k'),
        ('test_convnext', 'PooledNeck', 'test_convnext.r160_in1k'),
        # pooled by the mean, which is then normalised
        (
            'beit_base_patch16_224',
            'PooledNeck',
            'beit_base_patch16_224.in22k_ft_in22k_in1k',
        ),
        # a class token that timm does not pool by, but its makers do
        (
            'vit_small_patch16_dinov3',
            'ClassTokenNeck',
            'vit_small_patch16_dinov3.lvd1689m',
        ),
    ],
)
def test_any_network_of_timm_is_a_teacher(name, neck, full):
    config = teacher_config(f'timm:{name}')
    assert config['neck']['type'] == neck
    assert config['backbone'] == dict(type='TimmNetwork', name=full)
    assert config['checkpoint'] == f'checkpoints/{full}.safetensors'
    assert config['url'] == (
        f'https://huggingface.co/timm/{full}/resolve/main/model.safetensors'
    )
    assert licence_of(config['checkpoint']).name in ('Apache-2.0', 'DINOv3 License')


def test_such_a_teacher_runs(tmp_path):
    config = teacher_config('timm:test_vit')
    with pytest.raises(MissingFileError, match='download it from https://hugg'):
        MODELS.build(dict(config, checkpoint=str(tmp_path / 'none.safetensors')))
    path = str(tmp_path / 'file.safetensors')
    network = MODELS.build(config['backbone']).network
    save_file(randomise(network).state_dict(), path)
    teacher = MODELS.build(dict(config, checkpoint=path))
    assert isinstance(teacher, FrozenTeacher)
    x = images(64, 64)
    with torch.no_grad():
        torch.testing.assert_close(teacher(x), network.eval()(x))


@pytest.mark.parametrize(
    'name, words',
    [
        ('dinov2_vits41', "'dinov2_vits41' in the index; nearest: dinov2_vits14"),
        ('r50_r18', "no teacher 'r50_r18' in the index"),
        ('timm:nothing_like_it', "has no network 'nothing_like_it'"),
        ('timm:test_vit.none', 'test_vit.none'),
    ],
)
def test_errors_are_one_line(name, words):
    with pytest.raises(InputError, match=words) as error:
        teacher_config(name)
    assert '\n' not in str(error.value)


def test_a_missing_file_names_the_command():
    config = teacher_config('dinov3_vits16')
    with pytest.raises(MissingFileError) as error:
        MODELS.build(config)
    assert '(mmdisco download dinov3_vits16)' in str(error.value)
    assert config['url'] in str(error.value)


def test_licences_of_files_of_timm():
    """In the index or not; unknown where timm states none."""
    assert licence_of('a/resnet18_a1_0-d63eafa0.pth').commercial is True
    assert licence_of('vit_base_patch16_224.mae.safetensors').commercial is False
    assert licence_of('aimv2_1b_patch14_224.apple_pt.safetensors').commercial is None
    assert licence_of('dla60_res2net.in1k.safetensors') is None  # 'unknown'
    assert licence_of('model.safetensors') is None
    assert 'FAIR' in str(licence_of('eupe_x/convnext_tiny.eupe_lvd1689m.safetensors'))


def without_weights():
    """A network that timm publishes no weights of."""
    published = {name.split('.')[0] for name in timm.list_pretrained()}
    return next(n for n in timm.list_models('vit_*') if n not in published)


def test_files_of_libraries_are_downloaded_by_name(tmp_path, monkeypatch, capsys):
    """tools/download.py asks for the address that the config has."""
    asked = []

    def fetch(urls, path, sha256=None):
        asked.append((*urls, str(path), sha256))
        return 'f' * 64

    tool = runpy.run_path(str(ROOT / 'tools/download.py'))
    tool['obtain'].__globals__['fetch'] = fetch
    name = 'vit_small_patch14_dinov2.lvd142m'
    tool['obtain']('timm:vit_small_patch14_dinov2', tmp_path, False)
    assert asked == [
        (
            f'https://huggingface.co/timm/{name}/resolve/main/model.safetensors',
            str(tmp_path / f'{name}.safetensors'),
            None,
        )
    ]
    with pytest.raises(InputError, match='no address of weights is known'):
        tool['obtain'](f'timm:{without_weights()}', tmp_path, False)
