"""The protocols of linear, semi-supervised and CIFAR evaluation."""

import ast
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from tests.tools import ROOT, losses, run

FOLDER = ROOT / 'configs/benchmarks'
CNNS = ('effb0', 'effb1', 'mbv3', 'r18', 'r34')
WIDTH = dict(
    effb0=1280,
    effb1=1280,
    mbv3=1280,
    r18=512,
    r34=512,
    vitt=4 * 192,
    xcitt=192,
    r50=2048,
)
# of DisCo's student and of the one without; Tables 1, 6 and 5
TOP1 = dict(
    linear_effb0=(66.5, 46.8),
    linear_effb1=(66.6, 48.4),
    linear_mbv3=(64.4, 36.2),
    linear_r18=(60.6, 52.2),
    linear_r34=(62.5, 56.8),
    linear_vitt=(68.4, 55),
    linear_xcitt=(71.1, 67),
    linear_swav_effb0=(62.4, 46.8),
    linear_swav_mbv3=(55.7, 19.4),
    linear_swav_r34=(63.3, 63.3),
)
OTHERS = [
    f'{kind}_{student}'
    for student in WIDTH
    if student != 'r50'
    for kind in ('semi1', 'semi10', 'cifar10', 'cifar100')
]
COSINE = [dict(type='CosineAnnealingLR', by_epoch=True)]


def steps(gamma):
    return [dict(type='MultiStepLR', by_epoch=True, milestones=[60, 80], gamma=gamma)]


def protocol(kind, student):
    """Images in all on 8 GPUs, rate, weight decay, schedule."""
    if student in ('vitt', 'xcitt'):  # DINO's: .001 for 256 images
        return (1024, 0.004, 0, COSINE) if kind == 'linear' else (256, 0.001, 0, COSINE)
    if kind == 'linear_swav':
        return 256, 0.3, 1e-6, COSINE
    if kind == 'linear':
        return 256, 30.0 if student[0] == 'r' else 3.0, 0, steps(0.1)
    return 256, 3.0, 0, steps(0.1 if 'cifar' in kind else 0.5)


@pytest.mark.parametrize('stem', [*TOP1, *OTHERS])
def test_a_protocol_has_its_published_settings(stem):
    kind, student = stem.rsplit('_', 1)
    path = FOLDER / f'{stem}.py'
    cfg, doc = Config.fromfile(path), ast.get_docstring(ast.parse(path.read_text()))
    assert 'Status: not run here.' in ' '.join(doc.split())
    if stem in TOP1:
        disco, alone = TOP1[stem]
        table = 6 if student in ('vitt', 'xcitt') else (5 if 'swav' in stem else 1)
        assert f'Table {table}: {disco} top-1' in doc
        assert "(ImageNet linear) of DisCo's from" in ' '.join(doc.split())
        assert f', {alone} of' in ' '.join(doc.split())
    else:
        assert ' top-1' not in doc  # the paper prints none
    images, lr, decay, schedule = protocol(kind, student)
    assert cfg.train_dataloader.batch_size * 8 == images
    assert cfg.auto_scale_lr.base_batch_size == images
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=lr, momentum=0.9, weight_decay=decay
    )
    assert cfg.param_scheduler == schedule
    assert cfg.train_cfg.max_epochs == 100
    assert [hook.type for hook in cfg.custom_hooks[-2:]] == [
        'BestAndLastHook',
        'StudentHook',
    ]
    assert cfg.default_hooks.checkpoint.save_best == 'accuracy/top1'

    classes = int(kind[5:]) if 'cifar' in kind else 1000
    model = cfg.model
    assert (model.type, model.get('finetune', False)) == ('LinearClassifier', False)
    assert model.head == dict(
        type='LinearClsHead', num_classes=classes, in_channels=WIDTH[student]
    )
    own = cfg.student.backbone
    if student == 'vitt':
        own = {**own, 'type': 'LastBlocksViT', 'out_indices': [8, 9, 10, 11]}
    assert model.backbone == own
    assert cfg.data_preprocessor.num_classes == classes
    check_images(cfg, kind, student)


def check_images(cfg, kind, student):
    train, val, test = (
        cfg[f'{split}_dataloader'].dataset for split in ('train', 'val', 'test')
    )
    assert val == test
    assert cfg.val_dataloader.batch_size == cfg.train_dataloader.batch_size
    train_pipeline, val_pipeline = train.pipeline, val.pipeline
    cifar = 'cifar' in kind
    if cifar:
        name = kind.replace('cifar', 'CIFAR')
        assert (train.type, val.type) == (f'Local{name}',) * 2
        assert (train.split, val.split) == ('train', 'test')
        assert train.data_root == val.data_root == f'data/{kind}'
        assert not cfg.data_preprocessor.to_rgb
    else:
        _, *train_pipeline = train_pipeline
        _, *val_pipeline = val_pipeline
        listed = dict(semi1=('1percent.txt', 12811), semi10=('10percent.txt', 128116))
        assert (train.get('ann_file'), train.get('num_images')) == listed.get(
            kind, (None, None)
        )
        assert (train.data_prefix, val.data_prefix) == ('train', 'val')
        assert 'ann_file' not in val and 'num_images' not in val
    crop, flip, _ = train_pipeline
    assert (crop.scale, crop.crop_ratio_range, flip.prob) == (224, (0.08, 1.0), 0.5)
    resize, centre, _ = val_pipeline
    assert (resize.scale, resize.edge, centre.crop_size) == (
        224 if cifar else 256,
        'short',
        224,
    )
    dino = kind == 'linear' and student in ('vitt', 'xcitt')
    assert [part.get('interpolation', 'bilinear') for part in (crop, resize)] == [
        'bicubic' if cifar else 'bilinear',
        'bicubic' if cifar or dino else 'bilinear',
    ]


@pytest.mark.parametrize('student', WIDTH)
def test_each_classifier_learns_its_last_layer_alone(student):
    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(FOLDER / f'linear_{student}.py').model)
    learning = [k for k, p in model.named_parameters() if p.requires_grad]
    assert learning == ['head.fc.weight', 'head.fc.bias']
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    model.train()
    feats = model.extract_feat(torch.randn(2, 3, 64, 64))[-1]
    assert feats.shape == (2, WIDTH[student])
    assert not feats.requires_grad
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, before[key]), key
    model.head.init_weights()
    assert model.head.fc.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not model.head.fc.bias.any()


@pytest.mark.parametrize('stem', ['linear_swav_mbv3', 'semi1_r18', 'cifar100_vitt'])
def test_one_of_a_family_runs(stem, tmp_path):
    done = run(
        'python',
        'tools/train.py',
        f'configs/benchmarks/{stem}.py',
        '--smoke',
        '--work-dir',
        tmp_path,
    )
    assert len(losses(done)) == 4
    assert 'accuracy/top1: best ' in done.stdout
    assert Path(tmp_path, 'scores.json').is_file()


def test_finetuning_is_an_option(tmp_path):
    done = run(
        'python',
        'tools/train.py',
        'configs/benchmarks/semi10_r18.py',
        '--smoke',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'model.finetune=True',
        'optim_wrapper.optimizer.lr=.001',
    )
    assert 'this is not a linear evaluation' in done.stdout
    student = torch.load(tmp_path / 'smoke_student.pth')['state_dict']
    trained = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    for key in ('backbone.conv1.weight', 'backbone.bn1.running_mean'):
        assert not torch.equal(student[key], trained['state_dict'][key])
