"""The six students in RetinaNet, Faster R-CNN and RTMDet."""

import ast
from functools import cache, lru_cache
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config, utils
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS as BACKBONES
from torch import nn

from mmdisco.detection import DetectionStudentHook
from mmdisco.models.outputs import FeatureMaps
from mmdisco.utils import quiet_init
from tests.tools import ROOT

CONFIGS = ROOT / 'configs'
CHANNELS = dict(
    effb0=(24, 40, 112, 320),
    effb1=(24, 40, 112, 320),
    mbv3=(24, 40, 112, 960),
    r18=(64, 128, 256, 512),
    r34=(64, 128, 256, 512),
    vitt=(192,),
)
# tensors of student files that the FPN detectors and RTMDet do not use
UNUSED = dict(
    effb0=(['layers.6.*'],) * 2,
    effb1=(['layers.6.*'],) * 2,
    mbv3=(['layer17.*'], ['layer16.*', 'layer17.*']),
)
STEMS = {'retinanet': 'retinanet_{}-fpn_1x', 'faster-rcnn': 'faster-rcnn_{}-fpn_1x'}
ALL = [
    (data, detector, student)
    for data in ('coco', 'voc')
    for detector in (*STEMS, 'rtmdet')
    for student in CHANNELS
]
COCO = [(detector, student) for data, detector, student in ALL if data == 'coco']


@pytest.fixture(autouse=True)
def mmdet_scope(scope):
    init_default_scope('mmdet')


@pytest.fixture(scope='module', autouse=True)
def index_of_mmdet():
    """Cache mmdet's index: mmengine reads 100 files for each 'mmdet::'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, 'load', lru_cache(maxsize=None)(utils.load))
        yield


def path_of(data, detector, student):
    epochs = dict(coco=300, voc=100)[data]
    stem = STEMS.get(detector, f'rtmdet_{{}}_{epochs}e').format(student)
    return f'configs/detection/{data}/{stem}.py'


@cache
def load(data, detector, student):
    return Config.fromfile(ROOT / path_of(data, detector, student))


@cache
def template(student):
    return Config.fromfile(CONFIGS / f'_base_/students/{student}.py').student


def build(cfg):
    """Build and initialise a detector without SyncBN, which needs a GPU."""
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    with quiet_init():
        model.init_weights()
    return revert_sync_batchnorm(model)


def student_of(name):
    """Return the pre-trained network, with statistics of some images."""
    init_default_scope('mmpretrain')
    torch.manual_seed(1)
    backbone = BACKBONES.build(template(name).backbone)
    with quiet_init():
        backbone.init_weights()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    init_default_scope('mmdet')
    backbone.eval()
    return backbone


def test_there_are_no_others():
    found = {
        p.relative_to(ROOT).as_posix()
        for p in (CONFIGS / 'detection').rglob('*.py')
        if '-c4' not in p.name
    }
    assert {path_of(*key) for key in ALL} <= found
    assert all(path.endswith(('-fpn_1x.py', '0e.py')) for path in found)


@pytest.mark.parametrize('data, detector, student', ALL)
def test_a_config_has_the_documented_recipe(data, detector, student):
    cfg = load(data, detector, student)
    path = path_of(data, detector, student)
    doc = ast.get_docstring(ast.parse((ROOT / path).read_text()))
    assert path in doc and 'Status: not run here.' in doc
    assert '--student work_dirs/' in doc and 'Not in the paper' in doc

    vit, rtmdet = student == 'vitt', detector == 'rtmdet'
    optimizer = cfg.optim_wrapper.optimizer
    lr = dict(rtmdet=0.001 if vit else 0.004).get(detector) or (
        1e-4 if vit else 0.02 if (data, detector) == ('coco', 'faster-rcnn') else 0.01
    )
    assert optimizer == (
        dict(type='AdamW', lr=lr, weight_decay=0.05 if rtmdet else 0.1)
        if vit or rtmdet
        else dict(type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4)
    )
    images = 32 if rtmdet else 2
    assert cfg.train_dataloader.batch_size == images
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=images * 8)

    _, decay = cfg.param_scheduler
    if rtmdet:
        epochs = dict(coco=300, voc=100)[data]
        assert cfg.train_cfg.dynamic_intervals == [(epochs - 20, 1)]
        assert cfg.custom_hooks[-1].switch_epoch == epochs - 20
        assert (decay.begin, decay.end, decay.T_max) == (
            epochs // 2,
            epochs,
            epochs // 2,
        )
        assert decay.eta_min == pytest.approx(lr * 0.05)
    else:
        epochs = 12
        assert (decay.milestones, decay.gamma, decay.end) == ([8, 11], 0.1, 12)
    assert (cfg.train_cfg.type, cfg.train_cfg.max_epochs) == (
        'EpochBasedTrainLoop',
        epochs,
    )

    head = cfg.model.roi_head if detector == 'faster-rcnn' else cfg.model
    assert head.bbox_head.num_classes == dict(coco=80, voc=20)[data]
    hook = dict(type='DetectionStudentHook', checkpoint=None)
    if student in UNUSED:
        hook['unused'] = UNUSED[student][rtmdet]
    assert cfg.custom_hooks[0] == hook
    norm = cfg.model.data_preprocessor
    assert norm.bgr_to_rgb and norm.mean == [123.675, 116.28, 103.53]
    assert norm.std == [58.395, 57.12, 57.375]


@pytest.mark.parametrize('student', CHANNELS)
def test_the_backbone_is_the_students_network(student):
    """Except for its kind of BN, its outputs and trimming."""
    own = template(student).backbone
    for data, detector, name in ALL:
        if name == student:
            backbone = load(data, detector, name).model.backbone.to_dict()
            kind = backbone.pop('type').split('.')[-1]
            backbone.pop('out_indices', None)
            if student == 'mbv3':
                assert (kind, own.type) == ('TrimmedMobileNetV3', 'MobileNetV3Pooled')
            else:
                assert kind.removeprefix('Trimmed') == own.type
            if student == 'vitt':
                assert backbone.pop('out_type') == 'featmap'
            else:
                assert backbone.pop('norm_cfg')['type'] == 'SyncBN'
            assert backbone == {
                k: v
                for k, v in own.items()
                if k not in ('type', 'norm_cfg', 'out_type')
            }


def test_rtmdets_runtime_is_that_of_the_others():
    """Its base repeats the runtime, since mmdet's uses the same names."""
    runtime = Config.fromfile(CONFIGS / '_base_/detection/runtime.py')
    hooks = runtime.pop('custom_hooks')
    runtime.default_hooks.checkpoint.update(interval=10, max_keep_ckpts=3)
    ours = load('coco', 'rtmdet', 'r18')
    assert ours.custom_hooks[: len(hooks)] == hooks
    assert [hook.type for hook in ours.custom_hooks[len(hooks) :]] == [
        'EMAHook',
        'PipelineSwitchHook',
    ]
    for key, value in runtime.to_dict().items():
        assert unscoped(ours[key]) == value, key


def unscoped(node):
    """Remove mmdet's scope from types."""
    if isinstance(node, dict):
        return {k: unscoped(v) for k, v in node.items() if k != '_scope_'}
    return [*map(unscoped, node)] if isinstance(node, list) else node


@pytest.mark.parametrize('student', CHANNELS)
@pytest.mark.parametrize('detector', ['faster-rcnn', 'rtmdet'])
def test_maps_have_the_width_and_stride_that_the_neck_expects(detector, student):
    model = load('coco', detector, student).model
    backbone = build(model.backbone)
    maps = backbone(torch.randn(2, 3, 64, 96))
    strides = [4, 8, 16, 32][detector == 'rtmdet' :]
    channels = CHANNELS[student][detector == 'rtmdet' :]
    if student == 'vitt':
        strides, channels = [16], CHANNELS['vitt']
    elif (student, detector) == ('mbv3', 'rtmdet'):
        channels = (40, 112, 160)
    assert [m.shape for m in maps] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(channels, strides)
    ]
    neck = model.neck[0] if isinstance(model.neck, list) else model.neck
    expected = neck.in_channels
    assert channels == (tuple(expected) if isinstance(expected, list) else (expected,))

    # DistributedDataParallel needs a gradient for each
    sum(m.square().mean() for m in maps).backward()
    for name, tensor in backbone.named_parameters():
        assert tensor.grad is not None and tensor.grad.any(), name


@pytest.mark.parametrize(
    'detector, student',
    [*(('faster-rcnn', name) for name in CHANNELS), ('rtmdet', 'mbv3')],
)
def test_the_whole_student_is_loaded_and_gives_its_maps(tmp_path, detector, student):
    theirs = student_of(student)
    torch.save(
        dict(state_dict={f'backbone.{k}': v for k, v in theirs.state_dict().items()}),
        tmp_path / 's.pth',
    )
    cfg = load('coco', detector, student)
    model = SimpleNamespace(backbone=build(cfg.model.backbone))
    hook = dict(cfg.custom_hooks[0], checkpoint=str(tmp_path / 's.pth'))
    assert hook.pop('type') == 'DetectionStudentHook'
    runner = SimpleNamespace(model=model, _resume=False, logger=MagicMock())
    DetectionStudentHook(**hook).before_train(runner)
    own = model.backbone.state_dict()
    assert (
        f'loaded {len(own)}/{len(own)} tensors of backbone from '
        in (runner.logger.info.call_args.args[0])
    )
    unused = {k.rsplit('.', 1)[0] for k in theirs.state_dict()} - {
        k.rsplit('.', 1)[0] for k in own
    }
    assert {
        '.'.join(name.split('.')[: 2 if 'layers' in name else 1]) for name in unused
    } == {p[:-2] for p in hook.get('unused', ())}

    size = 224 if student == 'vitt' else 64
    images = torch.randn(1, 3, size, size)
    model.backbone.eval()
    with torch.no_grad():
        maps = model.backbone(images)
        if student == 'vitt':
            theirs.out_type = 'raw'
            tokens = theirs(images)[0][:, 1:]  # [1, 196, 192]
            expected = [tokens.transpose(1, 2).unflatten(2, (14, 14))]
        else:
            expected = FeatureMaps(theirs)(images)[-len(maps) :]
    if (student, detector) == ('mbv3', 'rtmdet'):  # before the widest layer
        maps, expected = maps[:-1], expected[:-1]
    for ours, map_ in zip(maps, expected, strict=True):
        torch.testing.assert_close(ours, map_)


@pytest.mark.parametrize('detector', ['retinanet', 'rtmdet'])
def test_only_weights_of_a_transformer_decay(detector):
    cfg = load('coco', detector, 'vitt')
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    decays = {
        id(tensor): group['weight_decay']
        for group in wrapper.optimizer.param_groups
        for tensor in group['params']
    }
    for name, tensor in model.named_parameters():
        free = tensor.ndim == 1 or name in ('backbone.cls_token', 'backbone.pos_embed')
        if 'scale' not in name:
            assert decays[id(tensor)] == (
                0 if free else cfg.optim_wrapper.optimizer.weight_decay
            ), name
    assert {group['lr'] for group in wrapper.optimizer.param_groups} == {
        cfg.optim_wrapper.optimizer.lr
    }


def test_a_transformer_takes_images_of_any_shape():
    """Its position embedding is resized like its map."""
    backbone = build(load('coco', 'retinanet', 'vitt').model.backbone)
    backbone.eval()
    for i in range(len(backbone.layers)):
        backbone.layers[i] = nn.Identity()
    backbone.ln1 = nn.Identity()
    nn.init.zeros_(backbone.patch_embed.projection.weight)
    nn.init.zeros_(backbone.patch_embed.projection.bias)
    with torch.no_grad():
        # a ramp from left to right of the 14 x 14 positions
        ramp = torch.linspace(-1, 1, 14).expand(14, 14)
        backbone.pos_embed[0, 1:] = ramp.reshape(-1, 1)
        (map_,) = backbone(torch.randn(1, 3, 800, 1344))
    assert map_.shape == (1, 192, 50, 84)
    row = map_[0, 0, 25]
    assert (row.diff() > 0)[6:-6].all() and row[0] < -0.9 and row[-1] > 0.9
    torch.testing.assert_close(map_, row.expand(1, 192, 50, 84), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('data, detector, student', ALL)
def test_a_detector_is_built(data, detector, student):
    cfg = load(data, detector, student)
    model = build(cfg.model)
    head = model.roi_head if detector == 'faster-rcnn' else model
    assert head.bbox_head.num_classes == dict(coco=80, voc=20)[data]


@pytest.mark.slow
@pytest.mark.parametrize('detector, student', COCO)
def test_a_detector_learns_and_detects(detector, student):
    cfg = load('coco', detector, student).model.copy()
    last = cfg.test_cfg.get('rcnn', cfg.test_cfg)
    last.score_thr = 0.0  # the detector is untrained
    model = build(cfg).train()
    data = demo_mm_inputs(2, (3, 64, 96), num_items=[2, 2], num_classes=80)
    data = model.data_preprocessor(data, training=True)

    def loss():
        torch.manual_seed(2)  # the heads sample boxes
        losses = model.loss(data['inputs'], data['data_samples'])
        return sum(
            part.sum()
            for name, value in losses.items()
            if 'loss' in name
            for part in (value if isinstance(value, list) else [value])
        )

    before = loss()
    before.backward()
    for name, tensor in model.named_parameters():
        assert tensor.grad is not None, name
    for name, tensor in model.backbone.named_parameters():
        assert tensor.grad.any(), name
    with torch.no_grad():
        norm = sum(t.grad.square().sum() for t in model.parameters()).sqrt()
        for tensor in model.parameters():
            tensor -= 1e-3 * tensor.grad / norm
        # RTMDet's targets rise with the quality of its boxes
        assert detector == 'rtmdet' or loss() < before

    model.eval()
    with torch.no_grad():
        found = model.predict(data['inputs'], data['data_samples'])
    assert len(found) == 2
    for sample in found:
        boxes = sample.pred_instances
        # all boxes of an untrained RTMDet may have negative width
        assert len(boxes) > 0 or detector == 'rtmdet'
        assert boxes.bboxes.shape == (len(boxes), 4)
        assert ((boxes.labels >= 0) & (boxes.labels < 80)).all()
        assert ((boxes.scores >= 0) & (boxes.scores <= 1)).all()


@pytest.mark.parametrize(
    'detector, student',
    [
        ('retinanet', 'effb0'),
        ('faster-rcnn', 'mbv3'),
        ('rtmdet', 'r18'),
        ('faster-rcnn', 'vitt'),
    ],
)
def test_one_of_each_detector_learns_and_detects(detector, student):
    """All of them are slow."""
    test_a_detector_learns_and_detects(detector, student)


@pytest.mark.slow
def test_a_transformer_attends_to_a_whole_image():
    backbone = build(load('coco', 'retinanet', 'vitt').model.backbone)
    backbone.eval()
    images = torch.randn(1, 3, 800, 1344)
    changed = images.clone()
    changed[:, :, :16, :16] = 3
    with torch.no_grad():
        a, b = backbone(images)[0], backbone(changed)[0]
    assert a.shape == (1, 192, 50, 84)
    # a corner reaches every position: no windows
    assert ((a - b).abs().amax(1) > 0).all()
