"""What mmdisco distill chooses, checks and resumes; without training."""

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import timm
import torch
from mmengine.config import Config

from mmdisco import cli, distill
from mmdisco.apis import distillation, recipe
from mmdisco.apis.audit import audit
from mmdisco.apis.distillation import Trained
from mmdisco.apis.recipe import Choices, recipe_of
from mmdisco.checkpoints import extract_backbone
from mmdisco.datasets import Photos
from mmdisco.deploy import export_student
from mmdisco.engine import InterruptHook
from mmdisco.errors import InputError
from mmdisco.launch.smoke import photo_tiles
from mmdisco.models.standardizer import hadamard, has_hadamard

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


@pytest.mark.parametrize(
    'method, batch, ranks, lr',
    [
        (None, 4, 1, 0.001),  # AdamW: the config's
        (None, 6, 2, 0.001),
        ('mocov2', 4, 3, 0.03 * 12 / 256),  # SGD: linear
    ],
)
def test_the_learning_rate_follows_the_batch(photos, method, batch, ranks, lr):
    teacher = None if method else 'timm:test_vit'
    choices = Choices(method, size=32, batch_size=batch)
    made = recipe_of(photos, 'timm:test_resnet', teacher, choices, ranks)
    optimizer = made.cfg.optim_wrapper.optimizer
    assert optimizer.lr == pytest.approx(lr, rel=0.05)
    assert made.method == (method or 'queue_kl')


def test_adamws_learning_rate_grows_by_the_root(photos):
    cfg = chosen(photos).cfg
    cfg.optim_wrapper.optimizer.lr, cfg.auto_scale_lr = 0.001, dict(base_batch_size=256)
    assert recipe._set_rate(cfg, None, 1024) == 0.002


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
    made = chosen(photos, 'forgetful_networks:Net')
    (warning,) = [text for name, text in made.lines if name == 'warning']
    assert '2 parameters' in warning and 'forgotten.weight' in warning
    assert made.cfg.find_unused_parameters
    plain = chosen(photos)
    assert 'warning' not in dict(plain.lines)
    assert 'find_unused_parameters' not in plain.cfg


@pytest.mark.parametrize(
    'teacher, mode',
    [('timm:test_vit', 'phi-s'), ('timm:regnetx_016', 'mean-std')],  # 64 and 912
)
def test_standardisation_suits_the_width(photos, teacher, mode, monkeypatch):
    widths = []

    def known(width):
        widths.append(width)
        return width != 912

    monkeypatch.setattr(recipe, 'has_hadamard', known)
    standardize = chosen(photos, teacher=teacher).cfg.model.standardize
    assert standardize.get('mode', 'phi-s') == mode
    network = timm.create_model(teacher.partition(':')[2], num_classes=0)
    assert widths == [network.num_features]


def test_networks_that_compute_while_they_are_built_have_names(photos):
    """RegNet of timm can't be built on the device 'meta'."""
    cfg = chosen(photos, 'timm:regnetx_002', 'timm:regnetx_002').cfg
    width = timm.create_model('regnetx_002', num_classes=0).num_features
    assert cfg.model.teacher.neck.in_channels == width
    assert cfg.model.ssl.neck.in_channels == width


@pytest.mark.parametrize('width, known', [(64, True), (1088, True), (1360, False)])
def test_widths_with_a_hadamard_matrix(width, known):
    assert has_hadamard(width) == known
    if known:
        matrix = hadamard(width)
        assert torch.equal(matrix @ matrix.T, width * torch.eye(width).double())


class Stop(Exception):
    pass


def test_a_resumed_run_keeps_the_settings_that_ran(photos, tmp_path, monkeypatch):
    cfg = chosen(photos).cfg
    cfg.speed = dict(compile=True, channels_last=False)
    cfg.dump(tmp_path / 'config.py')
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


def test_a_training_in_another_thread_leaves_signals_alone():
    def run():
        hook = InterruptHook()
        hook.before_train(None)
        assert not hook.end(None)
        return signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() is before


def test_export_takes_the_size_of_the_training(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model('test_resnet', num_classes=0)
    tensors = {f'backbone.network.{k}': v for k, v in network.state_dict().items()}
    backbone = dict(type='TimmNetwork', name='test_resnet', pooled_only=True)
    for size in (96, None):
        source = tmp_path / f'of {size}.pth'
        meta = dict(backbone=backbone)
        torch.save(dict(state_dict=tensors, meta=meta), source)
        student = tmp_path / f'student {size}.pth'
        extract_backbone(str(source), str(student), size=size)
        folder = tmp_path / f'timm {size}'
        export_student(str(student), str(folder), 'timm')
        loaded = timm.create_model(f'local-dir:{folder}', pretrained=True)
        side = size or 224
        assert [*loaded.pretrained_cfg['input_size']] == [3, side, side]


def test_check_takes_one_network(photos):
    with pytest.raises(InputError, match='use one'):
        audit(photos, model='r18.pth', teacher='timm:test_vit')
    with pytest.raises(InputError, match='needs --teacher'):
        audit(photos, model='r18.pth', teacher_checkpoint='x.pth')


def test_check_reports_no_size_without_a_readable_image(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'not a photo')
    text = str(audit(str(tmp_path)))
    assert 'unreadable  1: a.jpg' in text and 'pixels, median' not in text


def test_a_folder_of_broken_photos_is_named(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'not a photo')
    photos = Photos(str(tmp_path), pipeline=[dict(type='LoadPhoto')])
    with pytest.raises(InputError, match=f"none of the 1 images in '{tmp_path}'"):
        photos.prepare_data(0)


def test_a_config_of_the_users_own_is_not_overwritten(photos, tmp_path):
    (tmp_path / 'config.py').write_text('mine = 1\n')
    with pytest.raises(InputError, match='would be overwritten'):
        distill(photos, 'timm:test_vit', 'timm:test_resnet', tmp_path)
    assert (tmp_path / 'config.py').read_text() == 'mine = 1\n'
    chosen(photos).cfg.dump(tmp_path / 'config.py')  # of a run that was interrupted
    distillation._check_out(tmp_path, False)
