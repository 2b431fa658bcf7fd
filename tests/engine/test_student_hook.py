"""Loading of a student for a linear evaluation, and its frozen backbone."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
import torchvision
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.checkpoints import sha256_of
from mmdisco.engine import StudentHook
from mmdisco.launch.student import check_student
from tests.tools import ROOT, losses, run

SMALL = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
FROZEN = dict(SMALL, frozen_stages=4, norm_eval=True)


def build(cfg, seed):
    init_default_scope('mmpretrain')
    torch.manual_seed(seed)
    backbone = MODELS.build(cfg)
    backbone.init_weights()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
    return backbone


def runner_of(backbone, resume=False):
    model = nn.Module()
    model.backbone = backbone
    return SimpleNamespace(model=model, _resume=resume, logger=MagicMock())


def save(path, backbone, prefix='backbone.', **entries):
    torch.save(
        dict(
            state_dict={prefix + k: v for k, v in backbone.state_dict().items()},
            **entries,
        ),
        path,
    )
    return str(path)


@pytest.mark.parametrize('prefix', ['backbone.', 'ssl.backbone.', ''])
def test_the_backbone_is_loaded_and_logged(tmp_path, prefix):
    theirs, ours = build(SMALL, 0), build(FROZEN, 1)
    path = save(tmp_path / 'student.pth', theirs, prefix)
    runner = runner_of(ours)
    StudentHook(path).before_train(runner)
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key
    runner.logger.info.assert_called_once_with(
        f"StudentHook: loaded 120/120 tensors of backbone from '{path}' "
        f'(sha256 {sha256_of(path)[:12]})'
    )
    runner.logger.warning.assert_not_called()


def test_a_torchvision_file_gives_torchvisions_features(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18().eval()
    torch.save(theirs.state_dict(), tmp_path / 'r18.pth')
    ours = build(dict(type='ResNet', depth=18, frozen_stages=4), 1)
    StudentHook(str(tmp_path / 'r18.pth')).before_train(runner_of(ours))
    images = torch.randn(2, 3, 64, 64)
    theirs.fc = nn.Identity()
    ours.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            ours(images)[-1].mean((2, 3)), theirs(images), rtol=1e-4, atol=1e-4
        )


def test_a_file_that_does_not_fit_is_one_line(tmp_path):
    deeper = save(tmp_path / 'r34.pth', build(dict(SMALL, depth=34), 0))
    wider = save(tmp_path / 'wide.pth', build(dict(SMALL, base_channels=16), 0))
    eps = save(
        tmp_path / 'eps.pth',
        build(SMALL, 0),
        meta=dict(overrides=dict(norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01))),
    )
    broken = build(SMALL, 0)
    broken.conv1.weight.data[0] = float('nan')
    nan = save(tmp_path / 'nan.pth', broken)
    before = build(FROZEN, 1)
    for path, words in (
        (
            deeper,
            'unexpected, e.g. layer1.2.conv1.weight. The config has '
            'ResNet18: use the config of',
        ),
        (wider, r"wide.pth' does not fit .*16.* in the file, .*8"),
        (eps, 'BN eps 0.001, the backbone has 1e-05: set model.backbone'),
        (nan, 'conv1.weight is not finite'),
        (str(tmp_path / 'none.pth'), "student file .*none.pth' not found"),
        (None, 'pass --student CKPT'),
    ):
        backbone = build(FROZEN, 1)
        with pytest.raises(ValueError, match=words) as error:
            StudentHook(path).before_train(runner_of(backbone))
        assert '\n' not in str(error.value)
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, before.state_dict()[key]), key


@pytest.mark.parametrize(
    'key', ['layer3.1.bn2.running_var', 'bn1.num_batches_tracked', 'conv1.weight']
)
def test_a_frozen_backbone_that_changes_is_an_error(tmp_path, key):
    backbone = build(FROZEN, 0)
    hook = StudentHook(save(tmp_path / 'student.pth', backbone))
    runner = runner_of(backbone)
    hook.before_train(runner)
    backbone(torch.randn(2, 3, 32, 32))  # leaves all unchanged
    hook.after_train_epoch(runner)
    tensor = backbone.state_dict()[key]
    tensor.view(-1)[-1] += 1
    with pytest.raises(ValueError, match=f"'{key}' has changed"):
        hook.after_train_epoch(runner)


def test_bn_left_in_train_mode_is_an_error(tmp_path):
    backbone = build(SMALL, 0).requires_grad_(False)
    hook = StudentHook(save(tmp_path / 'student.pth', backbone))
    runner = runner_of(backbone)
    hook.before_train(runner)
    backbone(torch.randn(2, 3, 32, 32))
    with pytest.raises(ValueError, match="'bn1.running_mean' has changed"):
        hook.after_train_epoch(runner)


def test_a_trained_backbone_is_a_warning(tmp_path):
    backbone = build(dict(SMALL, frozen_stages=3), 0)
    hook = StudentHook(save(tmp_path / 'student.pth', backbone))
    runner = runner_of(backbone)
    hook.before_train(runner)
    assert (
        'trained, e.g. layer4.0.conv1.weight' in (runner.logger.warning.call_args[0][0])
    )
    backbone.layer4[0].conv1.weight.data += 1
    hook.after_train_epoch(runner)


def test_a_resumed_run_keeps_its_own_weights_and_its_student(tmp_path):
    first = save(tmp_path / 'first.pth', build(SMALL, 0))
    other = save(tmp_path / 'other.pth', build(SMALL, 1))
    hook, checkpoint = StudentHook(first), dict(meta={})
    hook.before_train(runner_of(build(FROZEN, 2)))
    hook.before_save_checkpoint(None, checkpoint)
    assert checkpoint['meta']['student']['sha256'] == sha256_of(first)

    backbone = build(FROZEN, 3)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    for path in (first, None):
        runner = runner_of(backbone, resume=True)
        hook = StudentHook(path)
        hook.after_load_checkpoint(runner, checkpoint)
        hook.before_train(runner)
        again = dict(meta={})
        hook.before_save_checkpoint(runner, again)
        assert again == checkpoint
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key]), key
    with pytest.raises(ValueError, match='began with the student .*first.pth'):
        StudentHook(other).after_load_checkpoint(runner, checkpoint)


def test_a_config_without_a_student_hook_is_an_error(fails):
    line = fails(
        'tools/train.py', 'configs/baselines/mocov2_r18.py', '--student', 'x.pth'
    )
    assert "this config has no StudentHook: --student 'x.pth'" in line


@pytest.mark.parametrize(
    'options, words',
    [
        ([], 'pass --student CKPT, the checkpoint of its pre-training'),
        (['--resume'], 'pass --student CKPT'),  # nothing to resume from
        (['--cfg-options', 'resume=True'], 'pass --student CKPT'),
        (['--student', 'none.pth'], "student file 'none.pth' not found"),
        (['--student', 'none.pth', '--smoke'], "student file 'none.pth'"),
        (
            ['--cfg-options', 'custom_hooks.{last}.checkpoint=none.pth'],
            "student file 'none.pth' not found",
        ),
    ],
)
def test_a_missing_student_is_an_error_before_building(
    tmp_path, fails, monkeypatch, options, words
):
    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', None)
    config = 'configs/benchmarks/linear_r50.py'
    last = len(Config.fromfile(ROOT / config).custom_hooks) - 1
    line = fails(
        'tools/train.py',
        config,
        '--work-dir',
        tmp_path / 'work',
        *(option.format(last=last) for option in options),
    )
    assert words in line
    assert not (tmp_path / 'work').exists()


def test_a_resumed_run_needs_no_student_file():
    cfg = Config(dict(resume=True, custom_hooks=[dict(type='StudentHook')]))
    check_student(cfg)
    cfg.resume = False
    with pytest.raises(ValueError, match='pass --student CKPT'):
        check_student(cfg)


def test_kd_trains_the_classifier_alone(tmp_path):
    done = run(
        'python',
        'tools/train.py',
        'configs/benchmarks/kd_disco_r18.py',
        '--smoke',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'model.teacher.backbone.depth=18',  # which is faster
        'model.teacher.head.in_channels=512',
    )
    assert len(losses(done)) == 4
    assert 'StudentHook: loaded 120/120 tensors' in done.stdout
    assert done.stdout.count('accuracy/top1') >= 2
    student = torch.load(tmp_path / 'smoke_student.pth')['state_dict']
    first, last = (
        torch.load(tmp_path / f'epoch_{i}.pth', weights_only=False) for i in (1, 2)
    )
    for key, value in last['state_dict'].items():
        if key.startswith('backbone.'):
            assert torch.equal(value, student.pop(key)), key
        else:
            assert not torch.equal(value, first['state_dict'][key]), key
    assert not student
    assert last['meta']['student']['sha256'] == sha256_of(
        tmp_path / 'smoke_student.pth'
    )
