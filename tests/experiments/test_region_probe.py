"""Features of ground-truth boxes, against torchvision's RoIAlign."""

import runpy

import mmdisco.detection  # noqa: F401  isort: skip  before mmdet, for its ops
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from sklearn.linear_model import LogisticRegression
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import roi_align

from mmdisco.datasets.detection.synthetic import make_set
from mmdisco.launch import apply_overrides, read_config
from mmdisco.launch.student import set_student
from tests.tools import ROOT, run

CONFIG = 'configs/quickstart/detection/faster-rcnn_c4.py'
TOOL = 'tools/analysis/region_probe.py'


@pytest.fixture
def tool():
    """Names of the tool, without running it."""
    return runpy.run_path(str(ROOT / TOOL))


@pytest.fixture
def runner(tmp_path, scope):
    """Of a detector with random weights, and few images."""
    make_set(tmp_path / 'set', 'voc', 24, 8, ROOT / 'demo/fashion_mnist')
    cfg = read_config(CONFIG)
    init_default_scope('mmdet')
    apply_overrides(cfg, dict(data_root=str(tmp_path / 'set')))
    for part in cfg.train_dataloader.dataset.datasets:
        part.pipeline[2].prob = 0.0  # the same images in each pass
    set_student(cfg, 'random')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    torch.manual_seed(0)
    return Runner.from_cfg(cfg)


def plain(model, dataset):
    """Box by box, of the same maps."""
    features, classes = [], []
    for sample in (DATASETS.build(dataset)[i] for i in range(8)):
        image = sample['inputs'].flip(0)[None].float()
        image = (image - 72.94) / 90.02
        objects = sample['data_samples'].gt_instances
        boxes = objects.bboxes.tensor * (image.shape[-1] / 128)
        for box, label in zip(boxes, objects.labels):
            with torch.no_grad():
                region = roi_align(
                    model.backbone(image)[0], [box[None]], 14, 1 / 16, aligned=True
                )
                features.append(model.roi_head.shared_head(region).mean((2, 3))[0])
            classes.append(int(label))
    return torch.stack(features).numpy(), np.array(classes)


@pytest.mark.parametrize('side', [128, 192])
def test_features_of_ground_truth_boxes(tool, runner, side):
    runner.cfg.test_dataloader.dataset.pipeline[1].scale = (side, side)
    model = runner.model.eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_()
    features, classes = tool['region_features'](
        model, runner.build_dataloader(runner.cfg.test_dataloader), original=True
    )
    expected, labels = plain(model, runner.cfg.test_dataloader.dataset)
    assert classes.tolist() == labels.tolist()
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)


def test_the_accuracy_is_that_of_a_plain_classifier(tool, runner):
    accuracy = tool['region_probe'](runner)
    model = runner.model  # with the statistics of the training images
    train, classes = tool['region_features'](
        model,
        runner.build_dataloader(
            dict(
                runner.cfg.train_dataloader,
                sampler=dict(type='DefaultSampler', shuffle=False),
            )
        ),
    )
    test, labels = plain(model, runner.cfg.test_dataloader.dataset)
    train, mean, std = (
        train.numpy(),
        train.mean(0).numpy(),
        train.std(0, unbiased=False).numpy(),
    )
    classifier = LogisticRegression(max_iter=2000).fit((train - mean) / std, classes)
    assert accuracy == pytest.approx(
        (classifier.predict((test - mean) / std) == labels).mean()
    )


def test_the_tool_takes_only_c4_detectors(tmp_path, fails):
    make_set(tmp_path / 'set', 'voc', 24, 8, ROOT / 'demo/fashion_mnist')
    done = run(
        'python',
        TOOL,
        CONFIG,
        '--student',
        'random',
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        f'data_root={tmp_path}/set',
    )
    line = done.stdout.strip().split('\n')[-1]
    assert line.startswith('linear probe of ground-truth boxes, random: ')
    assert 0 <= float(line.split()[-2]) <= 100
    line = fails(
        TOOL,
        'configs/detection/voc/retinanet_r18-fpn_1x.py',
        '--student',
        'random',
    )
    assert 'is not a C4 detector: it has no roi_head.shared_head' in line
