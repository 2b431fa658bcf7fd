"""Every config is parsed, each distinct network built once."""

import ast
import inspect
import json
import math
import re
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from torch import nn

from mmdisco.models.tap import embed_dim

ROOT = Path(__file__).parents[1] / 'configs'
# but for detectors', which are those of tests/detection
LEAVES = sorted(
    str(p.relative_to(ROOT))
    for p in ROOT.rglob('*.py')
    if not {'_base_', 'detection'} & {*p.parts}
)
TEACHERS = ('r50', 'r101', 'r152', 'r50w2')
STUDENTS = ('effb0', 'effb1', 'mbv3', 'r18', 'r34')
WIDTH = dict(
    effb0=1280, effb1=1280, mbv3=1280, r18=512, r34=512, r50=2048, r101=2048, r152=2048
)
# Table 1 of the paper, ImageNet linear top-1
TABLE1 = dict(
    r50=(66.5, 66.6, 64.4, 60.6, 62.5),
    r101=(68.9, 69.0, 65.7, 62.3, 64.4),
    r152=(67.8, 73.1, 63.7, 65.5, 68.1),
    r50w2=(69.1, 64.0, 58.9, 65.2, 67.6),
)
# Table 7 (Table 6 of the first version): other pre-trainings of the R-50
TABLE7 = dict(
    swavr50=(70.0, 72.1, 65.0, 65.1, 67.5), selar50=(62.2, 68.2, 66.2, 64.1, 65.3)
)
# of each teacher; and Table 2, from R-50
SEED = dict(
    r50=(61.3, 61.4, 55.2, 57.6, 58.5),
    r101=(63.0, 63.4, 59.9, 58.9, 61.6),
    r152=(65.3, 67.3, 61.4, 59.5, 62.7),
    r50w2=(67.6, 68.0, 68.2, 63.0, 65.7),
)
TABLE2 = dict(
    at=(57.1, 58.2, 51.0, 56.2, 60.2),
    rkd=(48.3, 50.3, 36.9, 56.4, 58.7),
    at_disco=(66.7, 66.3, 64.1, 60.2, 62.3),
    rkd_disco=(66.8, 66.5, 64.4, 60.6, 62.3),
)
# KD at linear evaluation, of both students; and its learning rates
KD = dict(
    kd_mocov2=(46.5, 48.5, 37.3, 51.5, 58.8), kd_disco=(65.8, 65.9, 65.2, 60.6, 65.9)
)
# Comparators that are not in the paper, of which authors report
AUTHORS = dict(
    bingo=dict(r18=61.4, r34=63.5),
    compress=dict(r18=61.7),
    compress_1q={},
    retro=dict(effb0=66.9),
    simreg={},
)
TABLE6 = dict(vitt=(68.4, 55), xcitt=(71.1, 67))
TABLE5 = dict(effb0=(62.4, 46.8), mbv3=(55.7, 19.4), r34=(63.3, 63.3))
MOCO = dict(effb0=46.8, effb1=48.4, mbv3=36.2, r18=52.2, r34=56.8)
# The recipes of mmpretrain that configs/disco/other follows
RECIPES = dict(
    byol='byol_resnet50_16xb256-coslr-200e_in1k',
    simclr='simclr_resnet50_16xb256-coslr-200e_in1k',
    simsiam='simsiam_resnet50_8xb32-coslr-200e_in1k',
    mocov3='mocov3_resnet50_8xb512-amp-coslr-100e_in1k',
    barlowtwins='barlowtwins_resnet50_8xb256-coslr-300e_in1k',
    densecl='densecl_resnet50_8xb32-coslr-200e_in1k',
)


def load(name):
    return Config.fromfile(str(ROOT / name))


def test_all_of_tables_1_and_7_and_the_sweeps_are_there():
    expected = {f'disco/{t}_{s}.py' for t in (*TEACHERS, *TABLE7) for s in STUDENTS}
    expected |= {
        f'disco/hidden/r50_{s}_h{h}.py'
        for s in STUDENTS
        for h in (512, 1024, 1280, 2048, 4096)
    }
    expected |= {f'baselines/mocov2_{n}.py' for n in WIDTH}
    expected |= {f'disco_swav/swavr50_{s}.py' for s in TABLE5}
    expected |= {f'baselines/swav_{s}.py' for s in TABLE5}
    expected |= {'disco/r50w2_effb1_290e.py', 'disco/r50w2_mbv3_340e.py'}
    expected |= {f'disco/other/{m}_r50_r18.py' for m in RECIPES}
    expected |= {f'baselines/{m}_r18.py' for m in RECIPES}
    expected |= {
        f'{n}.py'
        for n in (
            'disco_dino/vits_vitt',
            'disco_dino/xcits_xcitt',
            'baselines/dino_vitt',
            'baselines/dino_xcitt',
        )
    }
    expected |= {
        f'quickstart/{n}.py'
        for n in (
            'teacher',
            'mocov2',
            'mocov2_60k',
            'disco',
            'own_photos',
            'own_photos_teacher',
        )
    }
    expected |= {
        f'quickstart/testbeds/{arm}{m}.py'
        for arm in ('', 'disco_')
        for m in ('mocov2', 'swav', 'dino', 'byol', 'simclr')
    }
    expected |= {
        f'distill/{m}.py' for m in ('coss', 'disco', 'queue_kl', 'seed', 'simreg')
    }
    expected |= {f'comparators/seed_{t}_{s}.py' for t in TEACHERS for s in STUDENTS}
    expected |= {
        f'comparators/{m}_r50_{s}.py' for m in (*TABLE2, *AUTHORS) for s in STUDENTS
    }
    expected |= {
        f'quickstart/comparators/{m}.py'
        for m in (
            'seed',
            *TABLE2,
            *AUTHORS,
            'compress_mocov2_views',
            'simreg_mocov2_views',
        )
    } - {'quickstart/comparators/compress_1q.py'}
    expected |= {f'benchmarks/{m}_{s}.py' for m in KD for s in STUDENTS}
    expected |= {'benchmarks/linear_r50.py'}
    expected |= {
        f'benchmarks/{m}_{s}.py'
        for s in (*STUDENTS, *TABLE6)
        for m in ('linear', 'semi1', 'semi10', 'cifar10', 'cifar100')
    }
    expected |= {f'benchmarks/linear_swav_{s}.py' for s in TABLE5}
    assert set(LEAVES) == expected


def pooled(network):
    """Whether it ends with its backbone, so that nothing has a width."""
    return network['neck']['type'] == 'GlobalAveragePooling'


def width_of(network):
    neck = network['neck']
    if neck['type'] == 'ClassTokenNeck':
        return neck['in_channels']
    return neck.get('head', neck).get('out_channels', 256)  # DINO's default


@pytest.mark.parametrize('name', LEAVES)
def test_a_leaf_is_short_and_says_what_it_is(name):
    text = (ROOT / name).read_text()
    doc = ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 30
    assert f'configs/{name}' in doc
    cfg = load(name)
    if (
        'ssl' in cfg.model
        and 'adapter' not in cfg.model.distill
        and (not pooled(cfg.model.teacher))
    ):
        assert width_of(cfg.model.ssl) == width_of(cfg.model.teacher)
    teacher, _, student = Path(name).stem.partition('_')
    if name.startswith('disco/') and student in STUDENTS:
        number, table = (7, TABLE7) if teacher in TABLE7 else (1, TABLE1)
        top1 = table[teacher][STUDENTS.index(student)]
        assert f'Table {number}: {top1} top-1' in doc
        assert 'Status: not run here' in doc
        assert cfg.model.distill.loss_weight == 32
        assert cfg.model.ssl.neck.hid_channels == 2048
        assert cfg.model.extra_views == (1,)
    if name.startswith('baselines/mocov2') and student in MOCO:
        assert f'Table 1: {MOCO[student]} top-1' in doc
    if name.startswith('baselines/mocov2'):
        assert cfg.model.neck.hid_channels == WIDTH[student]
    if 'hidden' in name:
        assert cfg.model.ssl.neck.hid_channels == int(name[:-3].split('h')[-1])
    if name.startswith(('baselines/swav', 'disco_swav')):
        check_swav(cfg, name, doc, student)
    elif teacher in RECIPES and 'quickstart' not in name:
        check_other(cfg, teacher, doc)
    elif name.startswith(('benchmarks/kd', 'benchmarks/linear_r50')):
        check_benchmark(cfg, Path(name).stem, doc)
    elif name.startswith('comparators') and teacher in AUTHORS:
        method, _, student = Path(name).stem.rsplit('_', 2)
        check_other_comparator(cfg, method, student, doc)
    elif name.startswith('comparators'):
        check_comparator(cfg, Path(name).stem, doc)
    elif name.startswith('distill'):
        check_distill(cfg, Path(name).stem)
    elif name.startswith(('baselines/dino', 'disco_dino')):
        check_dino(cfg, doc, student)
    elif not name.startswith(('quickstart', 'benchmarks')):
        check_recipe(cfg, name)


def check_distill(cfg, method):
    """Methods for teachers without a head, on a folder of photos."""
    model, dataset = cfg.model, cfg.train_dataloader.dataset
    assert (dataset.type, dataset.data_root, dataset.data_prefix) == (
        'Photos',
        'data/photos',
        '',
    )
    views = 2 if method == 'disco' else 1
    assert dataset.pipeline[1].num_views == views
    assert model.teacher == load('_base_/teachers/dinov2_vits14.py').teacher
    assert model.ssl.backbone == dict(
        type='TimmNetwork', name='mobilenetv4_conv_small', pooled_only=True
    )
    assert model.standardize == dict(type='FeatureStandardizer')
    loss, neck = model.distill, model.ssl.neck
    assert (model.ssl.type, loss.type, neck.type) == dict(
        coss=('PlainStudent', 'CoSSLoss', 'LinearNeck'),
        disco=('MoCo', 'DisCoLoss', 'MoCoV2Neck'),
        queue_kl=('PlainStudent', 'QueueKLLoss', 'LinearNeck'),
        seed=('PlainStudent', 'SEEDLoss', 'MoCoV2Neck'),
        simreg=('PlainStudent', 'SimRegLoss', 'SimRegNeck'),
    )[method]
    queue = model.ssl if method == 'disco' else loss
    assert queue.get('queue_len', 'auto') == 'auto'
    assert cfg.auto_scale_lr == dict(base_batch_size=256, enable=True)


def check_comparator(cfg, stem, doc):
    """What SEED's release and the paper say of each."""
    method, teacher, student = stem.rsplit('_', 2)
    row = SEED[teacher] if method == 'seed' else TABLE2[method]
    number = 1 if method == 'seed' else 2
    assert f'Table {number}: {row[STUDENTS.index(student)]} top-1' in doc
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4
    )
    assert cfg.train_dataloader.batch_size == 32  # of 8 ranks
    losses = cfg.model.distill
    losses = losses if isinstance(losses, list) else [losses]
    views = cfg.train_dataloader.dataset.pipeline[1].num_views
    if method == 'seed':
        assert cfg.model.ssl.type == 'PlainStudent'
        assert cfg.model.ssl.neck.hid_channels == WIDTH[student]
        for loss in losses:
            assert (loss.queue_len, loss.student_temp, loss.teacher_temp) == (
                65536,
                0.2,
                0.01,
            )
        patches = teacher == 'r50w2'
        assert cfg.train_cfg.max_epochs == (800 if patches else 200)
        assert views == ([1, 6] if patches else 1)
        assert [list(x.get('views', (0,))) for x in losses] == (
            [[0], [1, 2, 3, 4, 5, 6]] if patches else [[0]]
        )
        return
    assert cfg.model.ssl == load(f'disco/r50_{student}.py').model.ssl
    both = method.endswith('disco')
    assert [x.type for x in losses] == [
        *['DisCoLoss'] * both,
        dict(at='ATLoss', rkd='RKDLoss')[method.split('_')[0]],
    ]
    assert cfg.model.get('extra_views') == ((1,) if both else None)
    assert (cfg.train_cfg.max_epochs, views) == (200, 2)


def check_other_comparator(cfg, method, student, doc):
    """What the release of each, or our notes of its paper, say."""
    reported = re.search(r"Reported by \w+'s? authors:\s([\d.]+) top-1", doc)
    assert AUTHORS[method].get(student) == (reported and float(reported[1]))
    assert 'Status: not run here' in doc
    lr, epochs = dict(
        simreg=(0.05, 130), compress=(0.01, 130), compress_1q=(0.01, 130)
    ).get(method, (0.03, 200))
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4
    )
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.param_scheduler == [
        dict(type='MultiStepLR', milestones=[90, 120], gamma=0.2, by_epoch=True)
        if 'compress' in method
        else dict(type='CosineAnnealingLR', by_epoch=True)
    ]
    assert cfg.train_dataloader.batch_size == 32  # of 8 ranks
    model, disco = cfg.model, load(f'disco/r50_{student}.py').model
    assert model.ssl.backbone == disco.ssl.backbone
    dataset = cfg.train_dataloader.dataset
    if method in ('simreg', 'compress', 'compress_1q'):
        views = dataset.pipeline[1]
        crop, flip = views.transforms[0]
        assert (views.num_views, flip) == (1, dict(type='RandomFlip', prob=0.5))
        assert (crop.scale, crop.crop_ratio_range) == (
            224,
            (0.2 if method == 'simreg' else 0.08, 1.0),
        )
        assert pooled(model.teacher)
        assert {**model.teacher, 'neck': disco.teacher.neck} == disco.teacher
    else:
        assert model.teacher == disco.teacher
        theirs = load(f'disco/r50_{student}.py').train_dataloader.dataset
        assert dataset.get('dataset', dataset) == theirs
    if method == 'simreg':
        assert (model.ssl.type, model.distill) == (
            'PlainStudent',
            dict(type='SimRegLoss'),
        )
        assert model.ssl.neck == dict(
            type='SimRegNeck', in_channels=WIDTH[student], out_channels=2048
        )
    elif method == 'compress':
        assert (model.ssl.type, model.ssl.momentum) == (
            'MomentumStudent',
            pytest.approx(1 - 0.999),
        )
        assert pooled(model.ssl)
        assert model.distill == dict(
            type='CompRessLoss',
            teacher_dim=2048,
            student_dim=WIDTH[student],
            queue_len=128000,
            temperature=0.04,
        )
    elif method == 'compress_1q':
        assert (model.ssl.type, pooled(model.ssl)) == ('PlainStudent', True)
        assert model.distill == dict(
            type='CompRessLoss',
            teacher_dim=2048,
            queue_len=128000,
            temperature=0.04,
            adapter=dict(in_features=WIDTH[student], out_features=2048),
        )
    elif method == 'retro':  # DisCo, with another head
        assert {**model.ssl, 'neck': disco.ssl.neck} == disco.ssl
        assert {**model, 'ssl': disco.ssl} == disco
        assert model.ssl.neck == dict(
            type='RetroNeck',
            in_channels=WIDTH[student],
            head=model.teacher.neck,
            checkpoint=model.teacher.checkpoint,
            url=model.teacher.url,
        )
    else:
        assert model.ssl == dict(
            type='PlainStudent',
            views=(0, 2),
            **load(f'_base_/students/{student}.py').student,
        )
        loss = model.distill
        assert (loss.type, loss.embed_dim, loss.queue_len) == ('BINGOLoss', 128, 65536)
        assert (loss.temperature, list(loss.views)) == (0.2, [0, 1, 2])
        assert dataset.type == 'Bags'
        # the member's view is made as the anchor's are
        assert [t.type for t in dataset.member_pipeline] == [
            'LoadPhoto',
            *(t.type for t in cfg.view_pipeline),
            'PackInputs',
        ]


def check_benchmark(cfg, stem, doc):
    """The paper's linear evaluation, and the release's KD.

    Others: tests/test_evaluation_configs.py.
    """
    method, student = stem.rsplit('_', 1)
    top1 = KD[method][STUDENTS.index(student)] if method in KD else 67.4
    assert f'Table {2 if method in KD else 1}: {top1} top-1' in doc
    assert 'Status: not run here' in doc
    lr = 30.0 if student.startswith('r') else 3.0
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=lr, momentum=0.9, weight_decay=0.0
    )
    assert cfg.param_scheduler == [
        dict(type='MultiStepLR', milestones=[60, 80], gamma=0.1, by_epoch=True)
    ]
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.train_dataloader.batch_size == 32  # of 8 ranks
    _, crop, flip, _ = cfg.train_dataloader.dataset.pipeline
    assert (crop.scale, crop.crop_ratio_range, flip.prob) == (224, (0.08, 1.0), 0.5)
    _, resize, centre, _ = cfg.val_dataloader.dataset.pipeline
    assert (resize.scale, resize.edge, centre.crop_size) == (256, 'short', 224)
    model = cfg.model
    own = load(f'baselines/mocov2_{student}.py').model.backbone
    assert model.backbone == own and pooled(model)
    assert (model.head.in_channels, model.head.num_classes) == (WIDTH[student], 1000)
    assert model.type == ('KDClassifier' if method in KD else 'LinearClassifier')
    if method in KD:
        loss = model.distill
        assert (
            loss.type,
            loss.alpha,
            loss.temperature,
            loss.get('reduction', 'batchmean'),
        ) == ('KDLoss', 0.5, 2.0, 'batchmean')
        linear = load('benchmarks/linear_r50.py').model
        assert (model.teacher.head.in_channels, model.teacher.backbone) == (
            2048,
            load('baselines/mocov2_r50.py').model.backbone,
        )
        assert model.teacher.neck == linear.neck


def check_dino(cfg, doc, student):
    """The defaults of DINO's code, for 8 GPUs of 64 images."""
    ssl = cfg.model.get('ssl', cfg.model)
    assert f'Table 6: {TABLE6[student][ssl is cfg.model]} top-1' in doc
    assert 'recipe is not\npublished' in doc and 'not run here' in doc
    assert ssl.backbone.drop_path_rate == 0.1
    assert (ssl.head.in_channels, ssl.head.out_channels) == (256, 65536)
    assert (ssl.head.student_temp, ssl.head.momentum_temp) == (0.1, 0.04)
    assert ssl.base_momentum == pytest.approx(1 - 0.996)
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(
        type='AdamW', lr=0.0005 * 512 / 256, weight_decay=0.04
    )
    assert wrapper.paramwise_cfg == dict(flat_decay_mult=0.0)
    warmup, lr, decay = cfg.param_scheduler
    assert (warmup.end, lr.begin, lr.eta_min) == (10, 10, 1e-6)
    assert decay.param_name == 'weight_decay'
    assert decay.eta_min_ratio * 0.04 == pytest.approx(0.4)
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (100, 64)
    assert [h.type for h in cfg.custom_hooks[-3:]] == [
        'MomentumHook',
        'ClipGradHook',
        'FreezeGradHook',
    ]
    assert cfg.custom_hooks[-2].max_norm == 3
    assert cfg.custom_hooks[-1].epochs == 1
    views = cfg.train_pipeline[1]
    assert list(views.num_views) == [1, 1, 8]
    found = [{t.type: t for t in p} for p in views.transforms]
    crops = [v['RandomResizedCrop'] for v in found]
    assert [(c.scale, *c.crop_ratio_range) for c in crops] == [
        (224, 0.4, 1),
        (224, 0.4, 1),
        (96, 0.05, 0.4),
    ]
    assert {c.interpolation for c in crops} == {'bicubic'}
    assert [v['GaussianBlur'].prob for v in found] == [1, 0.1, 0.5]
    assert ['Solarize' in v for v in found] == [False, True, False]
    jitter = found[2]['RandomApply'].transforms[0]
    assert [jitter[k] for k in ('brightness', 'contrast', 'saturation', 'hue')] == [
        0.4,
        0.4,
        0.2,
        0.1,
    ]


def check_swav(cfg, name, doc, student):
    """The hyper-parameters of the released SwAV commands."""
    ssl = cfg.model.get('ssl', cfg.model)
    assert f'Table 5: {TABLE5[student][ssl is cfg.model]} top-1' in doc
    loss = ssl.head.loss
    assert (loss.num_prototypes, loss.queue_len) == (3000, 3840)
    assert list(loss.num_crops) == [2, 6]
    assert (ssl.neck.in_channels, ssl.neck.hid_channels) == (WIDTH[student], 2048)
    assert cfg.optim_wrapper.optimizer == dict(
        type='LARC', lr=0.6, momentum=0.9, weight_decay=1e-6
    )
    assert cfg.param_scheduler[0].eta_min_ratio * 0.6 == 0.0006
    assert cfg.train_dataloader.batch_size == 64  # of 8 ranks
    crops = [t[0] for t in (cfg.view_pipeline, cfg.small_pipeline)]
    assert [(c.scale, c.crop_ratio_range) for c in crops] == [
        (224, (0.14, 1.0)),
        (96, (0.05, 0.14)),
    ]
    queue, freeze = cfg.custom_hooks[-2:]
    assert (queue.start_epoch, freeze.iters) == (15, 5005)
    assert cfg.sync_bn == 'torch'
    if ssl is not cfg.model:
        distill = cfg.model.distill
        assert distill.loss_weight == 1 / 2048 and not distill.norm_teacher
        assert cfg.work_dir == f'work_dirs/swav_{Path(name).stem}'


def check_recipe(cfg, name):
    """The hyper-parameters of the paper and its code."""
    ssl = cfg.model.get('ssl', cfg.model)
    assert (ssl.queue_len, ssl.momentum, ssl.feat_dim) == (65536, 0.001, 128)
    assert ssl.head.temperature == 0.2
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4
    )
    epochs = int(name[-7:-4]) if name.endswith('0e.py') else 200
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.param_scheduler == [
        dict(type='CosineAnnealingLR', by_epoch=True)
    ]  # to the last epoch
    assert cfg.train_dataloader.batch_size == 32  # of 8 ranks
    crop = cfg.view_pipeline[0]
    assert (crop.scale, crop.crop_ratio_range) == (224, (0.2, 1.0))


def full(node):
    """A config with the defaults of each class, but for the kind of BN."""
    if isinstance(node, (list, tuple)):
        # a transform that is never applied is none
        return [
            full(part)
            for part in node
            if not (isinstance(part, dict) and part.get('prob') == 0)
        ]
    if not isinstance(node, dict):
        return node
    cls = {
        **MODELS.module_dict,
        **TRANSFORMS.parent.module_dict,
        **TRANSFORMS.module_dict,
    }.get(node.get('type'))
    values = (
        {
            k: p.default
            for k, p in inspect.signature(cls).parameters.items()
            if p.default is not p.empty
        }
        if cls
        else {}
    )
    values = {**values, **node}
    if not values.get('with_last_bn', True):
        values.pop('with_last_bn_affine')
    return {k: full(v) for k, v in values.items() if k != 'norm_cfg'}


def check_other(cfg, method, doc):
    """The hyper-parameters of mmpretrain, from its own config."""
    init_default_scope('mmpretrain')
    recipe = RECIPES[method]
    theirs = Config.fromfile(
        str(Path(mmpretrain.__file__).parent / '.mim/configs' / method / f'{recipe}.py')
    )
    assert "Not in the paper: recipe ours, mmpretrain's" in doc
    assert 'Status: not run here' in doc

    ssl, model = cfg.model.get('ssl', cfg.model), theirs.model
    assert ssl.backbone == load('baselines/mocov2_r18.py').model.backbone
    synced = model.pop('backbone').norm_cfg.type == 'SyncBN'
    assert cfg.get('sync_bn') == ('torch' if synced else None)
    model.neck.in_channels = 512
    if method == 'simclr':  # whose gradient is divided by the ranks
        model.type = 'GlobalSimCLR'
    if model.neck.out_channels == 256:  # here the teacher's width
        model.neck.out_channels = model.head.predictor.in_channels = 128
        model.head.predictor.out_channels = 128
    assert full({**ssl, 'backbone': {}}) == full({**model, 'backbone': {}})

    gpus, images = map(int, re.search(r'(\d+)xb(\d+)', recipe).groups())
    assert cfg.train_dataloader.batch_size * 8 == gpus * images
    assert cfg.auto_scale_lr == dict(base_batch_size=gpus * images, enable=False)
    assert full(cfg.train_pipeline[1]) == full(theirs.train_pipeline[1])

    for key in ('optimizer', 'paramwise_cfg'):
        assert cfg.optim_wrapper.get(key) == theirs.optim_wrapper.get(key)
    epochs = cfg.train_cfg.max_epochs
    assert epochs == theirs.train_cfg.max_epochs
    cosine = theirs.param_scheduler[-1]
    assert cosine.pop('end') == epochs  # which mmengine fills in
    assert cosine.pop('T_max') == epochs - cosine.begin
    if method == 'barlowtwins':
        ratio = cfg.param_scheduler[-1].pop('eta_min_ratio')
        assert ratio * 1.6 == cosine.pop('eta_min')
    cfg.param_scheduler[-1].setdefault('begin', 0)
    assert cfg.param_scheduler == theirs.param_scheduler
    hooks = load('baselines/mocov2_r18.py').custom_hooks
    if method == 'densecl':  # which mmpretrain has, but forgets
        hooks.append(dict(type='DenseCLHook', start_iters=1000))
    assert cfg.custom_hooks == hooks + theirs.get('custom_hooks', [])

    if ssl is not cfg.model:
        assert ssl == load(f'baselines/{method}_r18.py').model
        assert cfg.model.distill.loss_weight == 32
        assert cfg.model.get('extra_views') == (
            (1,) if method == 'densecl' else None
        )  # others see both views
        width = dict(simsiam=2048, barlowtwins=8192).get(method)
        assert cfg.model.distill.get('adapter') == (
            width and dict(in_features=width, out_features=128)
        )
        assert 'ssl_weight' not in cfg.model


@pytest.mark.parametrize('method', ['byol', 'barlowtwins', 'simsiam'])
def test_settings_of_parameters_reach_those_that_they_are_for(method):
    init_default_scope('mmpretrain')
    cfg = load(f'disco/other/{method}_r50_r18.py')
    ssl = cfg.model.ssl
    with torch.device('meta'):  # no memory for a wide head
        ssl.neck = MODELS.build(ssl.neck)
    model = nn.ModuleDict(dict(ssl=MODELS.build(ssl)))
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    groups = {id(group['params'][0]): group for group in optimizer.param_groups}
    learning = [
        (name, param) for name, param in model.named_parameters() if param.requires_grad
    ]
    assert len(groups) == len(learning)
    for name, param in learning:
        group = groups[id(param)]
        if method == 'simsiam':
            assert group.get('fix_lr', False) == ('predictor' in name)
            continue
        plain = param.ndim == 1  # BN and biases
        assert group.get('lars_exclude', False) == plain
        assert group['weight_decay'] == (0 if plain else 1e-6)
        if method == 'barlowtwins':
            assert group['lr'] == (1.6 * 0.024 if plain else 1.6)


class Rates(BaseModel):
    """A model that notes at which learning rates it is trained."""

    forward = None

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.noted = []

    def train_step(self, data, optim_wrapper):
        self.noted += optim_wrapper.get_lr()['lr']
        optim_wrapper.update_params(self.weight.sum())
        return {}


@pytest.mark.parametrize(
    'schedule, least, last',
    [  # of four or twelve steps
        ('lars_200e', 0, 3 / 4),
        ('mocov3_100e', 0, 11 / 12),
        ('barlowtwins_300e', 0.001, 11 / 12),
    ],
)
def test_a_shorter_run_rises_and_falls_as_a_whole_one(schedule, least, last, tmp_path):
    cfg = load(f'_base_/schedules/{schedule}.py')
    runner = Runner(
        Rates(),
        str(tmp_path),
        experiment_name=schedule,
        train_dataloader=dict(
            dataset=list(range(3)),
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(cfg.train_cfg, max_epochs=14),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        param_scheduler=cfg.param_scheduler,
        default_hooks=dict(checkpoint=None),
    )
    rates = runner.train().noted
    assert len(rates) == 14 * 3
    assert rates[:30] == sorted(rates[:30]) and rates[0] < 2e-4
    assert rates[29] == pytest.approx(1)
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[36] == pytest.approx((1 + least) / 2)  # epoch 12 of 10..14
    assert rates[-1] == pytest.approx(
        least + (1 - least) * (1 + math.cos(math.pi * last)) / 2
    )


def networks():
    """Distinct backbone and neck configs of all leaves.

    The classifiers' 'neck' is their last layer; a backbone that is but pooled
    is built with a head by others, and so are linear classifiers.
    """
    found = {}
    for name in LEAVES:
        cfg = load(name)
        if cfg.model.type == 'LinearClassifier':
            continue
        parts = [cfg.model.get('ssl', cfg.model), cfg.model.get('teacher')]
        for part in filter(None, parts):
            neck = part.neck
            if pooled(part) and 'benchmarks' in name:
                neck = part.head
            elif pooled(part) or neck.type == 'ClassTokenNeck':
                continue
            if 'checkpoint' in neck:  # which is not there
                neck = {**neck, 'checkpoint': None}
            pair = dict(backbone=part.backbone, neck=neck)
            found.setdefault(json.dumps(pair, sort_keys=True), pair)
    return list(found.values())


@pytest.mark.parametrize(
    'pair',
    networks(),
    ids=lambda p: '-'.join(
        str(v)
        for v in (
            p['backbone']['type'],
            p['backbone'].get('depth', ''),
            p['neck']['type'],
            p['neck'].get('hid_channels', ''),
        )
    ),
)
def test_each_network_is_built_once(pair):
    init_default_scope('mmpretrain')
    backbone = MODELS.build(pair['backbone'])
    with torch.device('meta'):  # no memory for a wide head
        neck = MODELS.build(pair['neck'])
    assert embed_dim(neck) == pair['neck'].get('num_classes', width_of(pair))
    first = next(
        m for m in neck.modules() if isinstance(m, (nn.Linear, nn.Conv2d))
    )  # Retro's adapter
    width = getattr(first, 'in_features', None) or first.in_channels
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert width in {m.out_channels for m in convs[-3:]}


def million(module, width=None):
    """Parameters in units of 2^20, as the paper counts: backbones of
    teachers, students with the linear layer to 128 besides."""
    count = sum(p.numel() for p in module.parameters())
    return (count + (128 * (width + 1) if width else 0)) / 2**20


@pytest.mark.parametrize(
    'name, expected',
    [
        ('effb0', 4.0),
        ('effb1', 6.4),
        ('mbv3', 4.2),
        ('r18', 10.7),
        ('r34', 20.4),
        ('r50', 22.4),
        ('r101', 40.5),
        ('r152', 55.4),
    ],
)
def test_parameter_counts_are_those_of_the_paper(name, expected):
    init_default_scope('mmpretrain')
    backbone = MODELS.build(load(f'baselines/mocov2_{name}.py').model.backbone)
    width = WIDTH[name] if name in STUDENTS else None
    assert million(backbone, width) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize('name', LEAVES)
def test_the_data_set_of_each_config_is_registered(name):
    dataset = load(name).train_dataloader.dataset
    assert DATASETS.get(dataset.type) is not None
    assert load(name).custom_imports.imports == ['mmdisco']
