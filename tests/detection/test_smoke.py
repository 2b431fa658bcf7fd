"""tools/train.py and tools/test.py run detectors unchanged."""

import re

import torch

from tests.tools import losses, run

CONFIG = 'configs/quickstart/detection/mask-rcnn_c4.py'
LIGHT = 'configs/detection/coco/retinanet_mbv3-fpn_1x.py'


def test_a_detector_is_trained_tested_and_resumed(tmp_path):
    """Train with masks and --student, and check the log."""
    done = run('python', 'tools/train.py', CONFIG, '--smoke', '--work-dir', tmp_path)
    assert len(losses(done)) == 4
    log = done.stdout
    assert 'SMOKE TEST: RANDOM weights of the student' in log
    student = tmp_path / 'smoke_student.pth'
    assert re.search(
        r'loaded 90/90 tensors of backbone, 30/35 of shared_head '
        f"from '{student}'",
        log,
    )
    assert (
        'SyncBatchNorm (SyncBN) layers in the model will be automatically'
        ' reverted to BatchNormXd' in log
    )
    assert 'coco/segm_mAP: ' in log
    assert 'batch norms estimated from 1 batches' in log
    meta = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)['meta']
    assert meta['student']['checkpoint'] == str(student)

    again = run(
        'python',
        'tools/train.py',
        CONFIG,
        '--smoke',
        '--work-dir',
        tmp_path,
        '--resume',
        '--cfg-options',
        'train_cfg.max_epochs=3',
        '--student',
        'random',
        check=False,
    )
    assert again.returncode == 1
    assert 'this run began with the student' in again.stderr
    # and with the config of a resumed run
    done = run(
        'python',
        'tools/test.py',
        CONFIG,
        tmp_path / 'epoch_2.pth',
        '--work-dir',
        tmp_path / 'test',
        '--cfg-options',
        f'data_root={tmp_path}/smoke_images',
        'resume=True',
    )
    assert 'coco/bbox_mAP_50: ' in done.stdout
    # a student file alone would leave the heads random
    fault = run(
        'python',
        'tools/test.py',
        CONFIG,
        student,
        '--work-dir',
        tmp_path / 'test',
        '--cfg-options',
        f'data_root={tmp_path}/smoke_images',
        check=False,
    )
    assert fault.returncode == 1
    assert 'does not fit this architecture' in fault.stderr
    assert 'use a checkpoint of the whole model' in fault.stderr


def test_a_light_student_runs_under_amp(tmp_path):
    done = run(
        'python',
        'tools/train.py',
        LIGHT,
        '--smoke',
        '--amp',
        '--student',
        'random',
        '--work-dir',
        tmp_path,
    )
    assert 'RANDOM backbone as requested' in done.stdout
    assert "type='mmpretrain.BF16OptimWrapper'" in done.stdout
    assert len(losses(done)) == 4
