"""The tools, run as a user runs them."""

import json
import re
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from tests.tools import (
    COUNT_THREADS,
    PHOTOS,
    ROOT,
    gloo_threads,
    losses,
    one_line,
    run,
    small,
)


@pytest.fixture(scope='module')
def disco_run(tmp_path_factory):
    """A smoke run of DisCo from a cold start, and what it printed."""
    work_dir = tmp_path_factory.mktemp('disco')
    done = run(
        'python',
        'tools/train.py',
        'configs/quickstart/disco.py',
        '--smoke',
        '--work-dir',
        work_dir,
        cold=True,
    )
    return work_dir, done


def test_a_smoke_run_logs_and_saves_like_a_real_one(disco_run):
    work_dir, done = disco_run
    text = done.stdout + done.stderr
    assert 'RANDOM weights' in text and len(losses(done)) == 4
    for value in (
        'eta',
        'loss_ssl',
        'loss_distill',
        'cosine',
        'embed_std',
        'images_per_s',
        'data_wait',
    ):
        assert f' {value}: ' in text, value
    checkpoint = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    assert checkpoint['meta']['teacher']['sha256']
    keys = checkpoint['state_dict']
    assert 'ssl.queue' in keys and not any('teacher' in k for k in keys)
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_2.pth')


def test_baseline_smoke_runs_beside_the_real_runs(tmp_path):
    """Without workers; a real run never takes up what a smoke run left."""
    done = run(
        'python',
        ROOT / 'tools/train.py',
        ROOT / 'configs/baselines/mocov2_r18.py',
        '--smoke',
        '--cfg-options',
        'train_dataloader.num_workers=0',
        cwd=tmp_path,
    )
    assert len(losses(done)) == 4
    folder = tmp_path / 'work_dirs' / 'smoke' / 'mocov2_r18'
    assert (folder / 'epoch_2.pth').is_file()
    assert list((tmp_path / 'work_dirs').iterdir()) == [folder.parent]


def test_a_resumed_run_equals_an_uninterrupted_one(disco_run, tmp_path):
    whole, _ = disco_run
    half = tmp_path / 'half'
    options = [
        '--smoke',
        '--work-dir',
        half,
        '--cfg-options',
        'default_hooks.checkpoint.max_keep_ckpts=9',
    ]
    run('python', 'tools/train.py', 'configs/quickstart/disco.py', *options)
    (half / 'epoch_2.pth').unlink()  # as if killed in epoch 2
    (half / 'last_checkpoint').write_text(str(half / 'epoch_1.pth'))
    done = run(
        'python', 'tools/train.py', 'configs/quickstart/disco.py', '--resume', *options
    )
    assert len(losses(done)) == 2
    a, b = (
        torch.load(d / 'epoch_2.pth', weights_only=False)['state_dict']
        for d in (whole, half)
    )
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-5)


def test_dino_is_resumed_with_its_schedules(tmp_path):
    """Momentum encoder, centre, rates, and a last layer that waits."""
    config = 'configs/quickstart/testbeds/disco_dino.py'
    states = []
    for name in ('whole', 'half'):
        options = [
            '--smoke',
            '--work-dir',
            tmp_path / name,
            '--cfg-options',
            'default_hooks.checkpoint.max_keep_ckpts=9',
        ]
        run('python', 'tools/train.py', config, *options)
        if name == 'half':
            (tmp_path / name / 'epoch_2.pth').unlink()
            (tmp_path / name / 'last_checkpoint').write_text(
                str(tmp_path / name / 'epoch_1.pth')
            )
            run('python', 'tools/train.py', config, '--resume', *options)
        states.append(
            [
                torch.load(tmp_path / name / f'epoch_{i}.pth', weights_only=False)
                for i in (1, 2)
            ]
        )
    (first, whole), (_, half) = states
    layer = 'ssl.head.last_layer.parametrizations.weight.original1'
    assert not torch.equal(first['state_dict'][layer], half['state_dict'][layer])
    for key, value in whole['state_dict'].items():
        torch.testing.assert_close(half['state_dict'][key], value, rtol=1e-4, atol=1e-5)
    assert [g['lr'] for g in half['optimizer']['param_groups']] == [
        g['lr'] for g in whole['optimizer']['param_groups']
    ]


def test_two_ranks_on_this_machine(tmp_path, free_port):
    done = run(
        'bash',
        'tools/dist_train.sh',
        'configs/quickstart/disco.py',
        2,
        '--smoke',
        '--work-dir',
        tmp_path,
        '--auto-scale-lr',
        env=dict(PORT=str(free_port)),
    )
    assert len(losses(done)) == 4
    assert 'Scaling the original LR by 0.03125' in done.stdout  # 2 x 4 / 256
    state = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    queue = state['state_dict']['ssl.queue']
    assert queue.shape == (128, 8)  # the keys of both ranks


def test_swav_on_two_ranks_without_a_gpu(tmp_path, free_port):
    """The log says that there is no SyncBN, and each rank keeps its queue."""
    config = 'configs/baselines/swav_mbv3.py'
    hooks = [hook.type for hook in Config.fromfile(config).custom_hooks]
    (tmp_path / 'sitecustomize.py').write_text(COUNT_THREADS)
    done = run(
        'bash',
        'tools/dist_train.sh',
        config,
        2,
        '--smoke',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'custom_hooks.{hooks.index("SwAVQueueHook")}.start_epoch=0',
        'model.head.loss.queue_len=8',
        *small(config),
        env=dict(PORT=str(free_port), PYTHONPATH=str(tmp_path)),
    )
    assert gloo_threads(done) == ['0'] * 3  # torchrun's and both ranks'
    assert 'SyncBN needs a GPU' in done.stdout
    assert len(losses(done)) == 4
    kept = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)['swav_queue']
    assert kept['queues'].shape == (2, 2, 4, 128)  # ranks, crops, rows
    assert not torch.equal(*kept['queues'])


def test_the_learning_rate_follows_the_accumulation(tmp_path):
    done = run(
        'python',
        'tools/train.py',
        'configs/quickstart/mocov2.py',
        '--smoke',
        '--auto-scale-lr',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'optim_wrapper.accumulative_counts=4',
    )
    assert 'Scaling the original LR by 0.0625' in done.stdout  # 4 x 4 / 256


def test_the_student_leaves_alone(disco_run, tmp_path):
    work_dir, _ = disco_run
    out = tmp_path / 'deep' / 'student.pth'
    done = run('python', 'tools/extract_backbone.py', work_dir / 'epoch_2.pth', out)
    assert str(out) in done.stdout
    saved = torch.load(out, weights_only=True)
    source = torch.load(work_dir / 'epoch_2.pth', weights_only=False)['state_dict']
    assert saved['meta']['source'] == 'epoch_2.pth'
    assert len(saved['meta']['sha256']) == 64
    expected = {
        k.removeprefix('ssl.'): v
        for k, v in source.items()
        if k.startswith('ssl.backbone.')
    }
    assert saved['state_dict'].keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(saved['state_dict'][key], value)
    # mmpretrain loads it
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(ROOT / 'configs/quickstart/mocov2.py')
    backbone = MODELS.build(
        dict(
            cfg.model.backbone,
            init_cfg=dict(type='Pretrained', checkpoint=str(out), prefix='backbone.'),
        )
    )
    backbone.init_weights()
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, expected[f'backbone.{key}']), key


def test_testing_a_pre_training_names_the_command(disco_run):
    """From a cold start, as a user meets it."""
    work_dir, _ = disco_run
    done = run(
        'python',
        'tools/test.py',
        'configs/quickstart/disco.py',
        work_dir / 'epoch_2.pth',
        check=False,
        cold=True,
    )
    line = one_line(done.returncode, done.stdout, done.stderr)
    assert f'python tools/eval/knn.py {work_dir / "epoch_2.pth"} --data ' in line


def test_features_of_a_run_are_scored(disco_run, tmp_path):
    """Untrained features of two images still beat chance by far."""
    work_dir, _ = disco_run
    done = run(
        'python',
        ROOT / 'tools/eval/knn.py',
        work_dir / 'epoch_2.pth',
        '--data',
        ROOT / 'demo/fashion_mnist',
        cwd=tmp_path,
    )
    [top1] = re.findall(r'([\d.]+) % top-1', done.stdout.splitlines()[-1])
    assert 30 < float(top1) < 75


def test_another_teacher_is_refused_on_resume(disco_run, tmp_path, fails):
    work_dir, _ = disco_run
    copy = tmp_path / 'run'
    shutil.copytree(work_dir, copy)
    teacher = torch.load(copy / 'smoke_teacher.pth', weights_only=True)
    teacher['state_dict']['neck.mlp.0.bias'] += 1
    torch.save(teacher, tmp_path / 'other.pth')
    line = fails(
        'tools/train.py',
        'configs/quickstart/disco.py',
        '--resume',
        copy / 'epoch_2.pth',
        '--work-dir',
        copy,
        '--cfg-options',
        'train_dataloader.batch_size=4',
        'model.ssl.queue_len=4',
        f'model.teacher.checkpoint={tmp_path}/other.pth',
    )
    assert 'began with the teacher' in line and 'other.pth' in line


def test_the_checkpoint_of_another_algorithm_is_not_resumed(disco_run, tmp_path, fails):
    work_dir, _ = disco_run
    line = fails(
        'tools/train.py',
        'configs/quickstart/mocov2.py',
        '--resume',
        work_dir / 'epoch_2.pth',
        '--work-dir',
        tmp_path,
    )
    assert 'is of another model' in line
    assert not list(tmp_path.rglob('*.pth'))


def test_own_photos_from_a_teacher_to_a_student(tmp_path):
    """The two configs in a row, on the same folder, for one tiny epoch."""
    from mmdisco.launch.smoke import photo_tiles

    photo_tiles(tmp_path / 'photos', 8, size=64)
    (tmp_path / 'photos' / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    common = [
        f'data_root={tmp_path}/photos',
        'train_dataloader.batch_size=4',
        'train_dataloader.num_workers=1',
        'train_cfg.max_epochs=1',
        *small(PHOTOS),
    ]
    teacher = run(
        'python',
        'tools/train.py',
        'configs/quickstart/own_photos_teacher.py',
        '--work-dir',
        tmp_path / 'teacher',
        '--cfg-options',
        *common,
    )
    assert 'queue_len: 4 keys for 9 images' in teacher.stdout + teacher.stderr
    checkpoint = tmp_path / 'teacher' / 'epoch_1.pth'
    student = run(
        'python',
        'tools/train.py',
        PHOTOS,
        '--work-dir',
        tmp_path / 'student',
        '--cfg-options',
        *common,
        f'model.teacher.checkpoint={checkpoint}',
    )
    text = teacher.stdout + teacher.stderr + student.stdout + student.stderr
    assert f"from '{checkpoint}'" in text
    assert (tmp_path / 'student' / 'epoch_1.pth').is_file()
    scalars = next((tmp_path / 'student').rglob('scalars.json'))
    assert 'loss_distill' in json.loads(scalars.read_text().splitlines()[-1])
