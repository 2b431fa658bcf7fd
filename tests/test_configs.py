"""Every config is parsed, each distinct network built once."""
import ast
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from torch import nn

from mmdisco.models.tap import embed_dim

ROOT = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob('*.py')
                if '_base_' not in p.parts)
TEACHERS = ('r50', 'r101', 'r152', 'r50w2')
STUDENTS = ('effb0', 'effb1', 'mbv3', 'r18', 'r34')
WIDTH = dict(effb0=1280, effb1=1280, mbv3=1280, r18=512, r34=512,
             r50=2048, r101=2048, r152=2048)
# Table 1 of the paper, ImageNet linear top-1
TABLE1 = dict(
    r50=(66.5, 66.6, 64.4, 60.6, 62.5), r101=(68.9, 69.0, 65.7, 62.3, 64.4),
    r152=(67.8, 73.1, 63.7, 65.5, 68.1), r50w2=(69.1, 64.0, 58.9, 65.2, 67.6))
# Table 7 (Table 6 of the first version): other pre-trainings of the R-50
TABLE7 = dict(
    swavr50=(70.0, 72.1, 65.0, 65.1, 67.5),
    selar50=(62.2, 68.2, 66.2, 64.1, 65.3))
TABLE5 = dict(effb0=(62.4, 46.8), mbv3=(55.7, 19.4), r34=(63.3, 63.3))
MOCO = dict(effb0=46.8, effb1=48.4, mbv3=36.2, r18=52.2, r34=56.8)


def load(name):
    return Config.fromfile(str(ROOT / name))


def test_all_of_tables_1_and_7_and_the_sweeps_are_there():
    expected = {f'disco/{t}_{s}.py' for t in (*TEACHERS, *TABLE7)
                for s in STUDENTS}
    expected |= {f'disco/hidden/r50_{s}_h{h}.py' for s in STUDENTS
                 for h in (512, 1024, 1280, 2048, 4096)}
    expected |= {f'baselines/mocov2_{n}.py' for n in WIDTH}
    expected |= {f'disco_swav/swavr50_{s}.py' for s in TABLE5}
    expected |= {f'baselines/swav_{s}.py' for s in TABLE5}
    expected |= {'disco/r50w2_effb1_290e.py', 'disco/r50w2_mbv3_340e.py'}
    expected |= {f'quickstart/{n}.py' for n in (
        'teacher', 'mocov2', 'mocov2_60k', 'disco', 'own_photos',
        'own_photos_teacher')}
    assert set(LEAVES) == expected


@pytest.mark.parametrize('name', LEAVES)
def test_a_leaf_is_short_and_says_what_it_is(name):
    text = (ROOT / name).read_text()
    doc = ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 30
    assert f'configs/{name}' in doc
    cfg = load(name)
    teacher, _, student = Path(name).stem.partition('_')
    if name.startswith('disco/') and student in STUDENTS:
        number, table = (7, TABLE7) if teacher in TABLE7 else (1, TABLE1)
        top1 = table[teacher][STUDENTS.index(student)]
        assert f'Table {number}: {top1} top-1' in doc
        assert 'Status: not run here' in doc
        assert cfg.model.distill.loss_weight == 32
        assert cfg.model.ssl.neck.hid_channels == 2048
        assert cfg.model.extra_views == (1, )
    if name.startswith('baselines/mocov2') and student in MOCO:
        assert f'Table 1: {MOCO[student]} top-1' in doc
    if name.startswith('baselines/mocov2'):
        assert cfg.model.neck.hid_channels == WIDTH[student]
    if 'hidden' in name:
        assert cfg.model.ssl.neck.hid_channels == int(name[:-3].split('h')[-1])
    if name.startswith(('baselines/swav', 'disco_swav')):
        check_swav(cfg, name, doc, student)
    elif 'quickstart' not in name:
        check_recipe(cfg, name)


def check_swav(cfg, name, doc, student):
    """The hyper-parameters of the released SwAV commands."""
    ssl = cfg.model.get('ssl', cfg.model)
    assert f'Table 5: {TABLE5[student][ssl is cfg.model]} top-1' in doc
    loss = ssl.head.loss
    assert (loss.num_prototypes, loss.queue_len) == (3000, 3840)
    assert list(loss.num_crops) == [2, 6]
    assert (ssl.neck.in_channels, ssl.neck.hid_channels) == (
        WIDTH[student], 2048)
    assert cfg.optim_wrapper.optimizer == dict(
        type='LARC', lr=.6, momentum=.9, weight_decay=1e-6)
    assert cfg.param_scheduler[0].eta_min_ratio * .6 == .0006
    assert cfg.train_dataloader.batch_size == 64  # of 8 ranks
    crops = [t[0] for t in (cfg.view_pipeline, cfg.small_pipeline)]
    assert [(c.scale, c.crop_ratio_range) for c in crops] == [
        (224, (.14, 1.)), (96, (.05, .14))]
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
    assert (ssl.queue_len, ssl.momentum, ssl.feat_dim) == (65536, .001, 128)
    assert ssl.head.temperature == .2
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=.03, momentum=.9, weight_decay=1e-4)
    epochs = int(name[-7:-4]) if name.endswith('0e.py') else 200
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.param_scheduler == [dict(
        type='CosineAnnealingLR', by_epoch=True)]  # to the last epoch
    assert cfg.train_dataloader.batch_size == 32  # of 8 ranks
    crop = cfg.view_pipeline[0]
    assert (crop.scale, crop.crop_ratio_range) == (224, (.2, 1.))


def networks():
    """Distinct backbone and neck configs of all leaves."""
    found = {}
    for name in LEAVES:
        cfg = load(name)
        parts = [cfg.model.get('ssl', cfg.model), cfg.model.get('teacher')]
        for part in filter(None, parts):
            pair = dict(backbone=part.backbone, neck=part.neck)
            found.setdefault(json.dumps(pair, sort_keys=True), pair)
    return list(found.values())


@pytest.mark.parametrize('pair', networks(), ids=lambda p: '-'.join(
    str(v) for v in (p['backbone']['type'], p['backbone'].get('depth', ''),
                     p['neck']['hid_channels'])))
def test_each_network_is_built_once(pair):
    init_default_scope('mmpretrain')
    backbone = MODELS.build(pair['backbone'])
    neck = MODELS.build(pair['neck'])
    assert embed_dim(neck) == 128
    first = next(m for m in neck.modules() if isinstance(m, nn.Linear))
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert first.in_features in {m.out_channels for m in convs[-3:]}


def million(module, width=None):
    """Parameters in units of 2^20, as the paper counts: backbones of
    teachers, students with the linear layer to 128 besides."""
    count = sum(p.numel() for p in module.parameters())
    return (count + (128 * (width + 1) if width else 0)) / 2**20


@pytest.mark.parametrize('name, expected', [
    ('effb0', 4.0), ('effb1', 6.4), ('mbv3', 4.2), ('r18', 10.7),
    ('r34', 20.4), ('r50', 22.4), ('r101', 40.5), ('r152', 55.4)])
def test_parameter_counts_are_those_of_the_paper(name, expected):
    init_default_scope('mmpretrain')
    backbone = MODELS.build(load(f'baselines/mocov2_{name}.py').model.backbone)
    width = WIDTH[name] if name in STUDENTS else None
    assert million(backbone, width) == pytest.approx(expected, abs=.06)


@pytest.mark.parametrize('name', LEAVES)
def test_the_data_set_of_each_config_is_registered(name):
    dataset = load(name).train_dataloader.dataset
    assert DATASETS.get(dataset.type) is not None
    assert load(name).custom_imports.imports == ['mmdisco']
