"""The command mmdisco, as a user runs it."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from PIL import Image
from safetensors.torch import save_file

from mmdisco import cli
from mmdisco.apis import distillation
from mmdisco.errors import InputError
from mmdisco.launch.smoke import photo_tiles
from tests.tools import losses, one_line, run

MAIN = 'mmdisco/__main__.py'
TEACHER = 'timm:test_vit'
STUDENT = 'timm:test_resnet'

# sends Ctrl-C after the third step
INTERRUPTED = """
import signal
from mmdisco.cli import main
from mmdisco.engine import ProgressHook
show = ProgressHook.after_train_iter

def press(hook, runner, *args, **kwargs):
    show(hook, runner, *args, **kwargs)
    if runner.iter == 2 and runner.max_iters > 12:
        signal.raise_signal(signal.SIGINT)

ProgressHook.after_train_iter = press
main()
"""


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    photo_tiles(folder, 24, 48)
    return folder


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A file of the teacher, as timm writes it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('teacher') / 'model.safetensors'
    save_file(timm.create_model('test_vit').state_dict(), path)
    return path


def words(photos, weights, out, *more):
    return (
        'distill',
        photos,
        '--teacher',
        TEACHER,
        '--teacher-checkpoint',
        weights,
        '--student',
        STUDENT,
        '--size',
        32,
        '--workers',
        1,
        '--out',
        out,
        *more,
    )


@pytest.fixture(scope='module')
def trained(photos, weights, tmp_path_factory):
    """A distilled student: its folder and what was printed."""
    out = tmp_path_factory.mktemp('runs') / 'birds'
    done = run('python', MAIN, *words(photos, weights, out, '--epochs', 6))
    return out, done.stdout


def state_of(out, step):
    return torch.load(out / f'iter_{step}.pth', weights_only=False)['state_dict']


def test_distill_says_what_it_chose_and_how_to_go_on(trained):
    out, text = trained
    for start in ('photos', 'teacher', 'student', 'method', 'settings', 'schedule'):
        assert f'\n{start} ' in f'\n{text}', text
    assert '24 images' in text and 'batch 4, AdamW' in text
    assert '36 steps, 6.0 passes' in text
    assert 'estimate  0:' in text and 'after 20 steps: ' in text
    assert 'step 36/36  loss ' in text
    assert f'mmdisco export {out / "student.pth"} student.onnx' in text
    assert 'INFO' not in text and 'Traceback' not in text


def test_the_config_that_ran_trains_with_the_tool(trained, tmp_path):
    out, _ = trained
    cfg = Config.fromfile(out / 'config.py')
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=36)
    again = run(
        'python', 'tools/train.py', out / 'config.py', '--work-dir', tmp_path / 'again'
    )
    assert len(losses(again)) > 0
    for key, value in state_of(tmp_path / 'again', 36).items():
        assert torch.equal(value, state_of(out, 36)[key]), key


def test_the_students_features_are_those_of_its_backbone(trained, photos, tmp_path):
    out, _ = trained
    file = tmp_path / 'features.npz'
    run('python', MAIN, 'embed', out, photos, '--out', file)
    kept = np.load(file)
    network = timm.create_model('test_resnet', num_classes=0)
    weights = torch.load(out / 'student.pth', weights_only=False)['state_dict']
    network.load_state_dict(
        {key.removeprefix('backbone.network.'): v for key, v in weights.items()}
    )
    network.eval()
    name = kept['names'][5]
    # the size of the training, 32, and an edge of 8/7 of it
    image = Image.open(photos / name).resize((36, 36), Image.Resampling.BILINEAR)
    image = image.crop((2, 2, 34, 34))
    mean, std = (np.array(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = torch.from_numpy((np.asarray(image) / 255 - mean) / std).float()
    with torch.no_grad():
        expected = network(pixels.permute(2, 0, 1)[None])[0]
    cosine = torch.cosine_similarity(torch.from_numpy(kept['features'][5]), expected, 0)
    assert cosine > 0.999


def test_eval_and_export_take_the_folder_of_a_run(trained, photos, tmp_path):
    out, _ = trained
    for split in ('train', 'val'):
        shutil.copytree(photos, tmp_path / 'labelled' / split)
    done = run(
        'python',
        MAIN,
        *('eval', 'knn', out, '--data', tmp_path / 'labelled', '--k', 1),
        *('--out', tmp_path / 'knn.json'),
        *('--features', tmp_path / 'features'),
    )
    assert '100.00 % top-1' in done.stdout  # each photo is its own neighbour
    file = tmp_path / 'student.pt2'
    run(
        'python',
        MAIN,
        *('export', out, file, '--format', 'exported-program', '--size', 32),
    )
    assert file.is_file()


def test_the_folder_for_timm_names_the_teacher(trained, tmp_path):
    out, _ = trained
    folder = tmp_path / 'timm'
    run('python', MAIN, 'export', out, folder, '--format', 'timm', '--size', 32)
    network = timm.create_model(f'local-dir:{folder}', pretrained=True)
    weights = torch.load(out / 'student.pth', weights_only=False)['state_dict']
    for key, value in network.state_dict().items():
        assert torch.equal(value, weights[f'backbone.network.{key}']), key
    card = (folder / 'README.md').read_text()
    assert 'test_vit' in card and 'QueueKL' in card and 'model.safetensors' in card
    assert str(out.parent) not in card


def test_an_interrupted_run_continues_as_if_it_was_not(
    trained, photos, weights, tmp_path, fails
):
    out, _ = trained
    script = tmp_path / 'interrupted.py'
    script.write_text(INTERRUPTED)
    broken = tmp_path / 'birds'
    command = words(photos, weights, broken, '--epochs', 6)
    done = run('python', script, *command, check=False)
    assert done.returncode == 130, done.stderr
    assert 'stopped after 3 steps' in done.stdout
    assert done.stdout.rstrip().endswith('--resume')
    assert not (broken / 'student.pth').exists()
    done = run('python', MAIN, *command, check=False)
    assert 'add --resume' in one_line(done.returncode, done.stdout, done.stderr)
    for more, message in (
        (('--epochs', 9), 'started with --epochs 6.0, --resume has 9.0'),
        (('--lr', 1), 'started without --lr, --resume has 1.0'),
        (('--student', 'r18'), f'started with --student {STUDENT}, --resume has r18'),
    ):
        line = fails(MAIN, *command, '--resume', *more)
        assert message in line
    done = run('python', MAIN, *command, '--resume')
    assert 'iter_3.pth' in done.stdout
    expected, actual = state_of(out, 36), state_of(broken, 36)
    assert expected.keys() == actual.keys()
    for key, value in expected.items():
        assert torch.equal(value, actual[key]), key


def test_resume_without_a_checkpoint(photos, weights, tmp_path, fails):
    out = tmp_path / 'birds'
    out.mkdir()
    (out / 'config.py').touch()  # of a run that failed early
    line = fails(MAIN, *words(photos, weights, out, '--resume'))
    assert 'has no checkpoint to resume: leave --resume out' in line


def test_two_ranks(photos, weights, tmp_path, free_port):
    out = tmp_path / 'birds'
    command = words(photos, weights, out, '--epochs', 2, '--batch-size', 3)

    def rank(number):
        env = dict(RANK=number, LOCAL_RANK=number, WORLD_SIZE=2)
        env |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port)
        env = {key: str(value) for key, value in env.items()}
        return run('python', MAIN, *command, env=env)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(rank, range(2))
    assert 'batch 3 on 2 ranks' in first.stdout and '8 steps' in first.stdout
    assert 'photos' not in second.stdout and 'next: ' not in second.stdout
    assert (out / 'student.pth').is_file()


@pytest.mark.parametrize(
    'more, message',
    [
        (('--teacher', 'dinov2_vits15'), 'dinov2_vits14'),
        (('--student', 'timm:resnet17'), 'resnet'),
        (('--method', 'mocov2'), 'use one of disco, seed'),
        (('--batch-size', '25'), '24 images are too few for a batch of 25'),
        (('--teacher-checkpoint', 'nowhere.pth'), "'nowhere.pth' does not exist"),
        (('--size', '40'), 'multiple'),  # patches of 16 pixels
        (('--resume',), 'leave --resume out'),
    ],
)
def test_faults_are_one_line(photos, weights, tmp_path, fails, more, message):
    line = fails(MAIN, *words(photos, weights, tmp_path / 'out', *more))
    assert message in line
    assert not [*tmp_path.glob('out/*.pth')]


@pytest.mark.parametrize('name, why', [('photoz', 'does not exist'), ('a', 'a file')])
def test_photos_that_are_not_a_folder(name, why, weights, tmp_path, fails):
    (tmp_path / 'a').touch()
    line = fails(MAIN, *words(tmp_path / name, weights, tmp_path / 'out'))
    assert f"{name}' " in line and why in line and 'name a folder of images' in line
    assert 'data_root' not in line and not (tmp_path / 'out').exists()


def test_a_download_that_fails_names_the_option(monkeypatch):
    def fetch(*args):
        raise InputError('the server cannot be reached')

    monkeypatch.setattr(distillation, 'fetch', fetch)
    with pytest.raises(InputError, match='reached; .* --teacher-checkpoint'):
        distillation.obtain_teacher(
            'dinov2_vits14', dict(checkpoint='nowhere.pth', url='http://x'), None
        )


def test_check_obtains_the_teachers_file(photos, capsys, monkeypatch):
    fetched = []

    def fetch(urls, path, sha256):
        fetched.append(path.name)
        raise InputError('the server cannot be reached')

    monkeypatch.setattr(distillation, 'fetch', fetch)
    command = ['check', str(photos), '--teacher', 'dinov2_vits14']
    with pytest.raises(SystemExit):
        cli.main(command)
    assert fetched == ['dinov2_vits14_pretrain.pth']
    assert '--teacher-checkpoint' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([*command, '--teacher-checkpoint', 'nowhere.pth'])
    assert "'nowhere.pth' does not exist" in capsys.readouterr().err


def test_lists(capsys):
    cli.main(['list', 'methods'])
    assert 'coss' in capsys.readouterr().out
    cli.main(['list', 'teachers', 'dinov2_vits14'])
    _, row = capsys.readouterr().out.splitlines()
    assert row.split()[0] == 'dinov2_vits14' and 'Apache-2.0' in row and '384' in row
    assert row.split()[-1] == 'yes'
    cli.main(['list', 'teachers', 'dinov3_vits16'])
    assert capsys.readouterr().out.rstrip().endswith('on conditions')
    cli.main(['list', 'students', 'mobilenetv4_conv_small'])
    assert 'timm:mobilenetv4_conv_small' in capsys.readouterr().out
    cli.main(['list', 'teachers', 'dinov2'])  # a part of the names
    _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 8 and all(row.startswith('dinov2_vit') for row in rows)
    with pytest.raises(SystemExit):
        cli.main(['list', 'teachers', 'nothing*'])
    assert "matches 'nothing*'" in capsys.readouterr().err


def test_the_help_of_each_command(capsys, monkeypatch):
    for command in ('distill', 'pretrain', 'check', 'list', 'embed', 'export'):
        monkeypatch.setattr(sys, 'argv', ['mmdisco'])
        with pytest.raises(SystemExit) as stop:
            cli.main([command, '--help'])
        assert stop.value.code == 0
        assert capsys.readouterr().out.startswith(f'usage: mmdisco {command}')


def test_check_finds_planted_faults(photos, weights, tmp_path, capsys):
    folder = tmp_path / 'album'
    rng = np.random.default_rng(0)
    for i in range(6):
        (folder / 'deep').mkdir(parents=True, exist_ok=True)
        tiles = rng.integers(0, 256, (4, 4, 3), np.uint8)
        image = Image.fromarray(tiles).resize((100, 80 + i))
        image.save(folder / 'deep' / f'{i}.png')
    shutil.copy(folder / 'deep/3.png', folder / 'copy of 3.png')
    Image.open(folder / 'deep/4.png').save(folder / '4 again.jpg', quality=95)
    (folder / 'broken.jpg').write_bytes(b'not a photo')
    (folder / 'notes.txt').write_text('x')
    Image.new('RGB', (20, 200)).save(folder / 'narrow.png')
    report = tmp_path / 'report.json'
    cli.main(
        [
            *('check', str(folder), '--teacher', TEACHER, '--threshold', '.999'),
            *('--teacher-checkpoint', str(weights), '--out', str(report)),
        ]
    )
    found = json.loads(report.read_text())
    assert (found['files'], found['images']) == (11, 9)
    assert found['unreadable'] == ['broken.jpg'] and found['small'] == ['narrow.png']
    assert found['width'] == [20, 100, 100] and found['height'] == [80, 83, 200]
    assert found['copies'] == [['copy of 3.png', 'deep/3.png']]
    assert found['near'] == [['4 again.jpg', 'deep/4.png']]
    text = capsys.readouterr().out
    assert 'unreadable  1: broken.jpg' in text and '1 with another ending' in text
