"""C4 detectors: the student's fourth stage is the RoI head."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
import torchvision
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS as BACKBONES
from torch import nn

from mmdisco.checkpoints import sha256_of
from mmdisco.detection import DetectionStudentHook, Res5Head
from mmdisco.errors import InputError
from tests.tools import ROOT

VOC = ROOT / 'configs/detection/voc'
ALLOW = ['shared_head.norm.*']
# tensors of layer4 that do not fit detectron2's bottlenecks
BOTTLENECK = [
    *ALLOW,
    'shared_head.layer4.*.conv1.weight',
    'shared_head.layer4.*.conv3.*',
    'shared_head.layer4.*.bn3.*',
]


@pytest.fixture(autouse=True)
def mmdet_scope(scope):
    init_default_scope('mmdet')


def detector(depth, bottleneck=False):
    """Build the detector of a config; only heads not under test are small."""
    name = f'faster-rcnn_r{depth}-c4' + '-bottleneck' * bottleneck
    cfg = Config.fromfile(VOC / f'{name}_48k.py')
    cfg.model.rpn_head.feat_channels = 8
    torch.manual_seed(1)
    return cfg, MODELS.build(cfg.model)


def student(path, depth, prefix='ssl.backbone.'):
    """Write a pre-training checkpoint with random weights and statistics."""
    torch.manual_seed(depth)
    backbone = BACKBONES.build(
        dict(type='ResNet', depth=depth, zero_init_residual=False)
    )
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.weight.data.uniform_()
    state_dict = backbone.state_dict()
    torch.save(dict(state_dict={prefix + k: v for k, v in state_dict.items()}), path)
    return str(path), state_dict


def runner_of(model, resume=False):
    return SimpleNamespace(model=model, _resume=resume, logger=MagicMock())


def logged(runner):
    return runner.logger.info.call_args.args[0]


@pytest.mark.parametrize('depth, tensors, res5', [(18, 90, 30), (34, 174, 42)])
@pytest.mark.parametrize('prefix', ['ssl.backbone.', 'backbone.', ''])
def test_every_tensor_of_the_student_is_loaded(tmp_path, depth, tensors, res5, prefix):
    path, expected = student(tmp_path / 's.pth', depth, prefix)
    cfg, model = detector(depth)
    runner = runner_of(model)
    assert cfg.custom_hooks[0].allow == ALLOW
    DetectionStudentHook(path, allow=ALLOW).before_train(runner)
    loaded = {**model.backbone.state_dict(), **model.roi_head.shared_head.state_dict()}
    assert {k for k in expected if k.startswith('layer4.')} == {
        k for k in model.roi_head.shared_head.state_dict() if not k.startswith('norm.')
    }
    for key, value in expected.items():
        assert torch.equal(loaded[key], value), key
    assert logged(runner) == (
        f'DetectionStudentHook: loaded {tensors}/{tensors} tensors of '
        f"backbone, {res5}/{res5 + 5} of shared_head from '{path}' (sha256 "
        f'{sha256_of(path)[:12]}); 5 stay as initialised, as allowed, e.g. '
        'shared_head.norm.weight'
    )


def test_torchvisions_file_gives_its_maps(tmp_path):
    torch.manual_seed(0)
    expected = torchvision.models.resnet34().eval()
    torch.save(expected.state_dict(), tmp_path / 'r34.pth')
    _, model = detector(34)
    DetectionStudentHook(str(tmp_path / 'r34.pth'), ALLOW).before_train(
        runner_of(model)
    )
    model.eval()
    images = torch.randn(1, 3, 64, 96)
    expected.avgpool = expected.fc = nn.Identity()
    with torch.no_grad():
        c4 = model.backbone(images)[-1]
        res5 = model.roi_head.shared_head
        assert c4.shape == (1, 256, 4, 6)
        torch.testing.assert_close(
            res5.layer4(c4).flatten(1), expected(images), rtol=1e-4, atol=1e-4
        )
        # a freshly initialised norm only divides by sqrt(1 + eps)
        torch.testing.assert_close(res5(c4), res5.layer4(c4) / (1 + 1e-5) ** 0.5)


def test_another_depth_is_refused_by_name(tmp_path):
    path, _ = student(tmp_path / 'r34.pth', 34)
    _, model = detector(18)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(InputError) as error:
        DetectionStudentHook(path, ALLOW).before_train(runner_of(model))
    assert str(error.value).startswith(
        f"student file '{path}' does not fit: 96 left over, e.g. "
        'layer1.2.conv1.weight. The config has ResNet18: use the config of'
    )
    # nothing is loaded partially
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_misfits_not_allowed_by_name_are_errors(tmp_path):
    path, expected = student(tmp_path / 'r18.pth', 18)
    _, model = detector(18)
    with pytest.raises(InputError, match='5 missing, e.g. shared_head.norm.w'):
        DetectionStudentHook(path).before_train(runner_of(model))
    head = dict(expected, **{'fc.extra.weight': torch.zeros(2)})
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in head.items()}), path)
    with pytest.raises(InputError, match='1 left over, e.g. fc.extra.weight'):
        DetectionStudentHook(path, ALLOW).before_train(runner_of(model))
    DetectionStudentHook(path, ALLOW, ['fc.extra.*']).before_train(runner_of(model))
    assert torch.equal(model.backbone.conv1.weight, expected['conv1.weight'])


def test_detectron2s_fourth_stage_takes_what_fits(tmp_path):
    """Of layer4, conv2, both norms and the shortcut fit by shape."""
    path, expected = student(tmp_path / 'r34.pth', 34)
    cfg, model = detector(34, bottleneck=True)
    assert cfg.custom_hooks[0].allow == BOTTLENECK
    with pytest.raises(InputError, match='does not fit: .*conv3'):
        DetectionStudentHook(path, ALLOW).before_train(runner_of(model))
    runner = runner_of(model)
    DetectionStudentHook(path, BOTTLENECK).before_train(runner)
    loaded = model.roi_head.shared_head.state_dict()
    kept = {
        k
        for k, v in loaded.items()
        if f'{k}' in expected and v.shape == expected[k].shape
    }
    # 3 blocks: conv2 and 2 x 5 tensors of norms each; the shortcut and its norm
    assert len(kept) == 3 * 11 + 6
    for key in kept:
        assert torch.equal(loaded[key], expected[key]), key
    assert loaded['layer4.0.conv1.weight'].shape == (512, 256, 1, 1)
    assert loaded['layer4.0.conv3.weight'].shape == (512, 512, 1, 1)
    assert '39/65 of shared_head' in logged(runner)


def test_without_a_student_it_stops_unless_random_is_requested(tmp_path):
    _, model = detector(18)
    with pytest.raises(InputError, match='pass --student CKPT'):
        DetectionStudentHook().before_train(runner_of(model))
    before = model.backbone.conv1.weight.clone()
    runner = runner_of(model)
    DetectionStudentHook('random').before_train(runner)
    assert torch.equal(model.backbone.conv1.weight, before)
    assert 'RANDOM backbone' in runner.logger.warning.call_args.args[0]
    # a run with --resume that has no checkpoint yet starts
    with pytest.raises(InputError, match='pass --student CKPT'):
        DetectionStudentHook().before_train(runner_of(model, resume=True))


def test_a_run_is_resumed_with_its_student_alone(tmp_path):
    first, _ = student(tmp_path / 'a.pth', 18)
    _, model = detector(18)
    hook, checkpoint = DetectionStudentHook(first, ALLOW), dict(meta={})
    hook.before_train(runner_of(model))
    hook.before_save_checkpoint(None, checkpoint)
    assert checkpoint['meta']['student'] == dict(
        checkpoint=first, sha256=sha256_of(first)
    )
    resumed = runner_of(model, resume=True)
    other, _ = student(tmp_path / 'b.pth', 34)
    for path in (other, 'random'):
        with pytest.raises(InputError, match='began with the student'):
            DetectionStudentHook(path).after_load_checkpoint(resumed, checkpoint)
    hook = DetectionStudentHook(first)
    hook.after_load_checkpoint(resumed, checkpoint)
    resumed.model = None  # the checkpoint has the student: nothing is loaded
    hook.before_train(resumed)


def test_a_tensor_that_is_not_loaded_is_an_error(tmp_path, monkeypatch):
    path, _ = student(tmp_path / 'r18.pth', 18)
    _, model = detector(18)
    res5 = model.roi_head.shared_head
    monkeypatch.setattr(res5, 'load_state_dict', lambda *a, **k: None)
    with pytest.raises(
        InputError,
        match='shared_head.layer4.0.conv1.weight was not loaded into the detector',
    ):
        DetectionStudentHook(path, ALLOW).before_train(runner_of(model))


def test_res5_of_any_width():
    head = Res5Head(50, base_channels=4, norm_cfg=dict(type='BN'))
    out = head(torch.randn(2, 64, 14, 14))
    assert out.shape == (2, 128, 7, 7)
    plain = Res5Head(18, base_channels=4, extra_norm=False, norm_cfg=dict(type='BN'))
    assert plain(torch.randn(2, 16, 14, 14)).shape == (2, 32, 7, 7)
    assert not any('norm.' in k for k in plain.state_dict())
    with pytest.raises(ValueError, match='depth must be one of .*, got 19'):
        Res5Head(19)


def learns_and_detects(path):
    """Train and test a real detector on two tiny images with few regions."""
    cfg = Config.fromfile(path).model
    cfg.train_cfg.rcnn.sampler.num = 8
    for part in (cfg.train_cfg.rpn_proposal, cfg.test_cfg.rpn):
        part.update(nms_pre=50, max_per_img=8)
    cfg.test_cfg.rcnn.score_thr = 0.0  # the detector is untrained
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(cfg)).train()
    masks = cfg.type == 'MaskRCNN'
    batch = demo_mm_inputs(
        2, [(3, 64, 96)] * 2, num_items=[2, 1], num_classes=10, with_mask=masks
    )
    data = model.data_preprocessor(batch, True)
    loss, _ = model.parse_losses(model.loss(data['inputs'], data['data_samples']))
    loss.backward()
    # each mask trains the output of its own class
    assert not [
        name for name, parameter in model.named_parameters() if parameter.grad is None
    ]
    found = model.eval().test_step(batch)
    assert len(found) == 2
    for sample in found:
        boxes = sample.pred_instances
        assert len(boxes.bboxes) == len(boxes.scores) > 0
        assert boxes.bboxes[:, 0::2].max() <= 96
        assert boxes.bboxes[:, 1::2].max() <= 64
        if masks:
            assert boxes.masks.shape == (len(boxes), 64, 96)


C4 = sorted((ROOT / 'configs').glob('**/detection/**/*c4*.py'))
C4 = [path for path in C4 if '_base_' not in path.parts]


@pytest.mark.slow
@pytest.mark.parametrize('path', C4, ids=lambda path: path.stem)
def test_each_c4_detector_learns_and_detects(path):
    learns_and_detects(path)


@pytest.mark.parametrize(
    'name', ['voc/faster-rcnn_r34-c4_48k', 'coco/mask-rcnn_r18-c4_180k']
)
def test_one_of_each_c4_detector_learns_and_detects(name):
    assert len(C4) == 8
    learns_and_detects(ROOT / f'configs/detection/{name}.py')
