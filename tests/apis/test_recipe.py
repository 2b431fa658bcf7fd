"""What mmdisco distill chooses, checks and resumes; without training."""

import shutil

import pytest
import timm
import torch
from mmengine.config import Config

from mmdisco import cli, distill
from mmdisco.apis import distillation
from mmdisco.apis.distillation import Trained
from mmdisco.apis.recipe import Choices, recipe_of
from mmdisco.errors import InputError
from mmdisco.launch.smoke import photo_tiles

NETWORKS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = nn.Conv2d(3, 24, 3, 2)
        self.forgotten = nn.Conv2d(3, 8, 3)

    def forward(self, images):
        return self.used(images)
"""


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    photo_tiles(folder, 12, 32)
    return str(folder)


def chosen(photos, student='timm:test_resnet', teacher='timm:test_vit', **choices):
    choices = {'size': 32, **choices}
    return recipe_of(photos, student, teacher, Choices(**choices))


@pytest.mark.parametrize('teacher', ['dinov2_vits14', 'timm:test_vit'])
def test_a_size_that_the_teacher_does_not_take_is_refused_without_its_file(
    photos, teacher
):
    patch = timm.create_model(
        'test_vit' if 'test' in teacher else 'vit_small_patch14_dinov2',
        num_classes=0,
    ).patch_embed.patch_size[0]
    chosen(photos, teacher=teacher, size=2 * patch)
    with pytest.raises(InputError, match='patches of .* use a multiple'):
        chosen(photos, teacher=teacher, size=2 * patch + 4)


def test_a_size_that_the_student_does_not_take_is_refused(photos):
    with pytest.raises(InputError, match='patches of 16x16'):
        chosen(photos, 'timm:test_vit', 'torchvision:resnet18', size=40)


def test_a_batch_of_one_is_refused(photos, tmp_path):
    with pytest.raises(InputError, match='set --batch-size 2'):
        chosen(photos, batch_size=1)
    one = tmp_path / 'one'
    photo_tiles(one, 1, 32)
    with pytest.raises(InputError, match='1 images are too few.*: add images'):
        chosen(str(one))


def test_seeds_hidden_layer_is_as_wide_as_the_feature(photos):
    neck = chosen(photos, method='seed').cfg.model.ssl.neck
    assert (neck.in_channels, neck.hid_channels, neck.out_channels) == (96, 96, 64)


def test_the_config_has_no_other_teacher_or_student(photos):
    cfg = chosen(photos, method='disco').cfg
    text = cfg.pretty_text
    assert 'test_vit' in text and 'dinov2' not in text and 'mobilenetv4' not in text
    assert not {'teacher', 'student', 'neck'} & {*cfg}


def test_parameters_that_would_not_be_trained_are_named(photos, tmp_path, monkeypatch):
    (tmp_path / 'forgetful_networks.py').write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = chosen(photos, 'forgetful_networks:Net')
    (warning,) = [text for name, text in recipe.lines if name == 'warning']
    assert '2 parameters' in warning and 'forgotten.weight' in warning
    assert recipe.cfg.find_unused_parameters
    plain = chosen(photos)
    assert 'warning' not in dict(plain.lines)
    assert 'find_unused_parameters' not in plain.cfg


class Stop(Exception):
    pass


def test_a_resumed_run_keeps_the_settings_that_ran(photos, tmp_path, monkeypatch):
    recipe = chosen(photos)
    recipe.cfg.speed = dict(compile=True, channels_last=False)
    recipe.cfg.dump(tmp_path / 'config.py')
    (tmp_path / 'iter_4.pth').touch()
    seen = []

    def configure(options):
        seen.append(options)
        raise Stop

    monkeypatch.setattr(distillation, 'configure', configure)
    with pytest.raises(Stop):
        distill(
            photos,
            'timm:test_vit',
            'timm:test_resnet',
            tmp_path,
            resume=True,
            commercial=True,
        )
    # apply_speed(level='auto', compile=False) would switch the compiler off
    assert seen[0].speed == 'off' and seen[0].commercial
    assert Config.fromfile(tmp_path / 'config.py').speed.compile


def test_next_steps_name_a_class_of_the_users_own(capsys, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    cli._finish(Trained('runs/student.pth', 'runs/config.py', 8, 32, 'my.nets:Tiny'))
    steps = capsys.readouterr().out.splitlines()
    assert len(steps) == 3
    assert all(step.endswith(' --arch my.nets:Tiny') for step in steps)
    cli._finish(Trained('runs/student.pth', 'runs/config.py', 8, 32))
    assert '--arch' not in capsys.readouterr().out


def test_only_the_model_is_replaced_by_the_students_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'run').mkdir()
    torch.save({}, 'run/student.pth')
    replaced = cli._with_checkpoint
    assert replaced(['run', 'run', '--out', 'x']) == [
        'run/student.pth',
        'run',
        '--out',
        'x',
    ]
    assert replaced(['--out', 'run', 'run', 'p'])[1:3] == ['run', 'run/student.pth']
    shutil.rmtree('run')
    assert replaced(['run', 'p']) == ['run', 'p']


def test_the_work_dir_of_train_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, 'leave_group', lambda: None)
    torch.save({}, tmp_path / 'student.pth')
    given = []
    main = dict(main=lambda: given.extend(cli.sys.argv))
    monkeypatch.setattr(cli.runpy, 'run_path', lambda path: main)
    words = ['config.py', '--work-dir', str(tmp_path)]
    cli.main(['train', *words])
    assert given[1:] == words
