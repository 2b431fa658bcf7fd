"""Detectors with data that would give wrong scores stop before training."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmdisco.datasets.detection.synthetic import FASHION_NAMES, make_set
from mmdisco.detection import (
    ConcatPipelineSwitchHook,
    DetectionDataCheckHook,
    wanted_of,
)
from mmdisco.errors import InputError
from tests.tools import ROOT

CONFIGS = dict(
    coco='configs/quickstart/detection/mask-rcnn_c4.py',
    voc='configs/quickstart/detection/faster-rcnn_c4.py',
)
VAL = 'annotations/instances_val2017.json'
TRAIN = 'annotations/instances_train2017.json'


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Make data sets with an object of each class in training and test."""
    folder = tmp_path_factory.mktemp('whole')
    for kind in ('voc', 'coco'):
        make_set(folder / kind, kind, 24, 24, ROOT / 'demo/fashion_mnist', size=64)
    return folder


@pytest.fixture(params=['voc', 'coco'])
def kind(request):
    return request.param


@pytest.fixture
def root(whole, kind, tmp_path):
    return shutil.copytree(whole / kind, tmp_path / 'set')


@pytest.fixture
def coco(whole, tmp_path):
    return shutil.copytree(whole / 'coco', tmp_path / 'set')


def config(kind, root):
    init_default_scope('mmdet')
    cfg = Config.fromfile(ROOT / CONFIGS[kind])
    from mmdisco.launch.overrides import move_data

    move_data(cfg, str(root))
    return cfg


def check(cfg, classes=10, test=False, hooks=()):
    """Run the hook with a network that consists of a head; return the warnings."""
    model = nn.Module()
    model.roi_head = nn.Module()
    model.roi_head.bbox_head = nn.Module()
    model.roi_head.bbox_head.num_classes = classes
    words = []
    metrics = cfg.val_evaluator
    metrics = metrics if isinstance(metrics, list) else [metrics]
    loop = SimpleNamespace(
        dataloader=SimpleNamespace(dataset=DATASETS.build(cfg.val_dataloader.dataset)),
        evaluator=SimpleNamespace(metrics=[METRICS.build(m) for m in metrics]),
    )
    runner = SimpleNamespace(
        model=model,
        val_loop=loop,
        test_loop=loop,
        hooks=hooks,
        max_epochs=6,
        logger=SimpleNamespace(warning=words.append),
    )
    if test:
        DetectionDataCheckHook().before_test(runner)
    else:
        runner.train_dataloader = SimpleNamespace(
            dataset=DATASETS.build(cfg.train_dataloader.dataset)
        )
        DetectionDataCheckHook().before_train(runner)
    return words


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def rename(root, old, new):
    """Rename a class in the annotation files of either format."""
    for path in [
        *root.glob('annotations/*.json'),
        *root.glob('VOC*/Annotations/*.xml'),
    ]:
        text = path.read_text()
        path.write_text(
            text.replace(f'"{old}"', f'"{new}"').replace(
                f'<name>{old}<', f'<name>{new}<'
            )
        )


def test_good_sets_pass(kind, root):
    state = torch.get_rng_state()
    assert check(config(kind, root)) == []
    assert check(config(kind, root), test=True) == []
    assert torch.equal(state, torch.get_rng_state())


def test_configs_have_the_check():
    """Check one config of each family."""
    paths = [
        *(ROOT / 'configs/detection').glob('*/*r18*.py'),
        *(ROOT / 'configs/quickstart/detection').glob('*.py'),
    ]
    assert len(paths) == 10
    for path in paths:
        kinds = [h.type for h in Config.fromfile(path).custom_hooks]
        assert kinds.count('DetectionDataCheckHook') == 1, path


def test_another_case_of_a_class_is_named(kind, root):
    rename(root, 'bag', 'Bag')
    for test in (False, True):
        with pytest.raises(InputError, match="'bag', but (of )?'Bag': "):
            check(config(kind, root), test=test)


def test_names_of_another_set_leave_no_object(kind, root):
    for name in FASHION_NAMES:
        rename(root, name, f'x{name}')
    with pytest.raises(
        InputError,
        match='train data have no object of the '
        "classes 't-shirt', .* the files have 'xankle boot'",
    ):
        check(config(kind, root))


def test_a_class_without_an_object_is_a_warning(whole, tmp_path):
    root = shutil.copytree(whole / 'voc', tmp_path / 'set')
    rename(root, 'bag', 'suitcase')
    words = check(config('voc', root))
    assert words == [
        f'DetectionDataCheckHook: the {name} data have no object of 1 of 10 '
        "classes: 'bag'"
        for name in ('train', 'val')
    ]


def test_a_switch_that_never_comes_is_a_warning(whole):
    cfg = config('voc', whole / 'voc')
    for epoch, count in ((5, 0), (6, 1)):
        words = check(cfg, hooks=[ConcatPipelineSwitchHook(epoch, [])])
        assert len(words) == count
    assert 'switch_epoch 6 is never reached in 6 epochs' in words[0]


def test_detections_of_unlabelled_images_may_be_written(coco, tmp_path):
    """As for an evaluation server that keeps the annotations."""
    edit(coco / VAL, lambda c: c.pop('annotations'))
    cfg = config('coco', coco)
    cfg.val_evaluator.update(format_only=True, outfile_prefix=str(tmp_path / 'found'))
    assert check(cfg, test=True) == []
    cfg.val_evaluator.format_only = False
    with pytest.raises(InputError, match='test data have no object'):
        check(cfg, test=True)


def test_heads_have_as_many_classes(kind, root):
    with pytest.raises(
        InputError,
        match='model.roi_head.bbox_head has '
        'num_classes=20, but the data set of train has 10 classes: '
        'set --cfg-options model.roi_head.bbox_head.num_classes=10',
    ):
        check(config(kind, root), 20)
    with pytest.raises(InputError, match='of test has 10 classes'):
        check(config(kind, root), 20, test=True)


def test_classes_are_the_same_in_each_set(kind, root):
    cfg = config(kind, root)
    classes = tuple(reversed(FASHION_NAMES))
    cfg.val_dataloader.dataset.metainfo = dict(classes=classes)
    with pytest.raises(
        InputError,
        match='train and val have different classes: 10 and 10, e.g. their order',
    ):
        check(cfg)
    with pytest.raises(
        InputError,
        match='classes of train_dataloader and '
        "val_dataloader differ: at 0 't-shirt' and 'ankle",
    ):
        wanted_of(cfg)


def test_a_class_name_is_not_a_list_of_classes(coco):
    cfg = config('coco', coco)
    cfg.val_dataloader.dataset.metainfo = dict(classes='bag')
    with pytest.raises(InputError, match="the string 'bag': write"):
        check(cfg)


@pytest.mark.parametrize('file', [TRAIN, VAL])
def test_categories_are_in_the_order_of_the_classes(coco, file):
    edit(coco / file, lambda c: c['categories'].reverse())
    with pytest.raises(InputError, match='in another order'):
        check(config('coco', coco))


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda c: c['annotations'][0].update(id=0), 'has the id 0'),
        (lambda c: c['annotations'][0].pop('iscrowd'), 'has iscrowd None'),
        (lambda c: c['annotations'][0].update(ignore=1), 'has ignore 1'),
    ],
)
def test_annotations_that_break_pycocotools_are_errors(coco, change, words):
    edit(coco / VAL, change)
    for test in (False, True):
        with pytest.raises(InputError, match=words) as error:
            check(config('coco', coco), test=test)
        assert VAL in str(error.value)


def test_the_metric_has_the_images_of_the_set(coco):
    cfg = config('coco', coco)
    cfg.val_evaluator.ann_file = str(coco / TRAIN)
    edit(
        coco / TRAIN,
        lambda c: c.update(
            images=c['images'][:-1],
            annotations=[o for o in c['annotations'] if o['image_id'] < 24],
        ),
    )
    with pytest.raises(InputError, match='has 23 images, 23 of them among the 24'):
        check(cfg, test=True)
    cfg = config('coco', coco)
    cfg.val_dataloader.dataset.indices = 5
    with pytest.raises(InputError, match='24 images, 5 of them among the 5 of'):
        check(cfg, test=True)


@pytest.mark.parametrize('file, name', [(TRAIN, 'train'), (VAL, 'val')])
def test_masks_are_there_where_the_pipeline_loads_them(coco, file, name):
    edit(coco / file, lambda c: c['annotations'][-1].pop('segmentation'))
    with pytest.raises(
        InputError,
        match=f'has an object without a mask, but the pipeline of {name} loads masks',
    ):
        check(config('coco', coco))


def test_wanted_of():
    for kind in CONFIGS:
        init_default_scope('mmdet')
        wanted = wanted_of(Config.fromfile(ROOT / CONFIGS[kind]))
        assert wanted == (tuple(FASHION_NAMES), kind == 'coco')
    wanted = wanted_of(
        Config.fromfile(ROOT / 'configs/detection/coco/retinanet_r18-fpn_1x.py')
    )
    assert (len(wanted.classes), wanted.masks) == (80, False)


@pytest.mark.parametrize('tool', ['train', 'prepare'])
def test_a_run_stops_in_one_line(coco, tmp_path, tool, fails, monkeypatch):
    edit(coco / TRAIN, lambda c: c['categories'].reverse())
    if tool == 'train':
        line = fails(
            'tools/train.py',
            CONFIGS['coco'],
            '--student',
            'random',
            '--work-dir',
            tmp_path / 'run',
            '--cfg-options',
            f'data_root={coco}',
        )
        assert 'lists its categories in another order' in line
        assert not [*(tmp_path / 'run').glob('*.pth')]
    else:
        from tests.datasets.test_coco_checks import call_tool

        code, out = call_tool(monkeypatch, coco, '--config', CONFIGS['coco'])
        assert code == 1 and f"{TRAIN}' lists its categories" in out
