"""--commercial: licences by file, address and sha256."""

import shutil

import pytest
from mmengine.config import Config

from mmdisco.apis.training import TrainOptions, configure
from mmdisco.errors import InputError
from mmdisco.launch import check_commercial
from mmdisco.zoo import list_teachers, teacher_config
from tests.tools import ROOT


def check(**teacher):
    model = dict(type='DisCo', teacher=dict(type='FrozenTeacher', **teacher))
    return check_commercial(Config(dict(model=model)))


@pytest.mark.parametrize('info', list_teachers(), ids=lambda info: info.name)
def test_each_teacher_of_the_index(info):
    teacher = teacher_config(info.name)
    if info.commercial is False:
        with pytest.raises(InputError, match=info.licence) as error:
            check_commercial(Config(dict(model=dict(teacher=teacher))))
        assert '\n' not in str(error.value)
        return
    (note,) = check_commercial(Config(dict(model=dict(teacher=teacher))))
    assert ('licence not known' in note) == (info.commercial is None)
    assert info.licence in note


def test_a_renamed_file_is_known_by_its_address_only_if_that_forbids():
    forbidden = teacher_config('eupe_vitt16')['url']
    with pytest.raises(InputError, match=f"FAIR.*for the teacher '{forbidden}'"):
        check(checkpoint='own.pth', url=forbidden)
    allowed = teacher_config('dinov2_vits14')['url']
    for url in (None, allowed, 'https://elsewhere.org/own.pth'):
        (note,) = check(checkpoint='own.pth', url=url)
        assert "licence not known: 'own.pth'" in note


def test_a_published_sha256_names_the_file(tmp_path):
    path = tmp_path / 'own.pth'
    shutil.copy(ROOT / teacher_config('quickstart')['checkpoint'], path)
    assert 'Apache-2.0' in check(checkpoint=str(path))[0]
    path.write_bytes(b'another')
    assert 'not known' in check(checkpoint=str(path))[0]


def test_files_of_timm_have_its_licence():
    with pytest.raises(InputError, match='CC BY-NC 4.0 .as timm states it.'):
        check(checkpoint='a/vit_base_patch16_224.mae.safetensors')
    (note,) = check(checkpoint='aimv2_1b_patch14_224.apple_pt.safetensors')
    assert 'licence not known' in note and 'apple-ascl' in note


def test_all_teachers_of_a_config_are_checked():
    parts = [teacher_config(name) for name in ('dinov2_vits14', 'mobileclip_s0')]
    with pytest.raises(InputError, match='Apple AMLR'):
        check_commercial(Config(dict(model=dict(teachers=[dict(t=parts)]))))
    classifier = dict(type='mmdisco.FrozenClassifier', checkpoint='own.pth')
    assert check_commercial(Config(dict(model=dict(teacher=classifier))))
    assert check_commercial(Config(dict(model=dict(type='MoCo')))) == []


def test_the_training_asks_before_a_smoke_run_replaces_the_teacher(tmp_path):
    options = dict(work_dir=str(tmp_path), smoke=True, commercial=True)
    with pytest.raises(InputError, match='licence CC BY-NC 4.0, no commercial use'):
        configure(TrainOptions(str(ROOT / 'configs/disco/r50_r18.py'), **options))
