import json

import numpy as np
import pytest
import torch
from mmdet.models.detectors import FasterRCNN
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from PIL import Image

from mmdisco.detection.report import (
    draw_detections,
    markdown,
    measure_by_coco,
    run_test,
    scores_of,
)
from tests.detection.tiny_set import CLASSES, OBJECTS, tiny_set
from tests.tools import run

TOOL = 'tools/analysis/detection_report.py'


@pytest.fixture
def tiny(tmp_path):
    """Write config and checkpoint of a detector with random weights."""
    config, checkpoint = tiny_set(tmp_path / 'set'), tmp_path / 'model.pth'
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    return config, checkpoint


@pytest.fixture
def oracle(monkeypatch):
    """Make the detector return the annotations, optionally with masks."""

    def predict(self, inputs, samples, rescale=True):
        for sample in samples:
            # VOC's difficult objects need no detection
            objects = [x for x in sample.instances if not x['ignore_flag']]
            boxes = torch.tensor([x['bbox'] for x in objects]).float()
            sample.pred_instances = InstanceData(
                bboxes=boxes.reshape(-1, 4),
                scores=torch.ones(len(objects)),
                labels=torch.tensor([x['bbox_label'] for x in objects]).long(),
            )
            if self.test_cfg.get('masks'):
                masks = torch.zeros(len(objects), *sample.ori_shape, dtype=torch.bool)
                for mask, (x1, y1, x2, y2) in zip(masks, boxes.int()):
                    mask[y1:y2, x1:x2] = True
                sample.pred_instances.masks = masks
        return samples

    monkeypatch.setattr(FasterRCNN, 'predict', predict)


def report_on(tiny, tmp_path, num=8, change=lambda cfg: None):
    cfg = Config.fromfile(tiny[0])
    change(cfg)
    measure_by_coco(cfg)
    cfg.work_dir = str(tmp_path / 'work')
    return run_test(cfg, str(tiny[1]), num)


def test_the_tool_writes_a_report_of_a_detector(tiny, tmp_path):
    out = tmp_path / 'out'
    done = run('python', TOOL, *tiny, '--out', out, '--score-thr', '0.01')
    report = json.loads((out / 'report.json').read_text())
    text = (out / 'report.md').read_text()
    assert done.stdout.endswith(text + '\n')
    assert report['num_images'] == 4
    assert set(report['bbox']['per_class']) == set(CLASSES)
    assert report['bbox']['AP'] < 0.5 and 'segm' not in report
    assert report['bbox']['AP_large'] is None  # no object is large
    assert Image.open(out / report['picture']).size == (1760, 792)  # 2 rows
    assert not list(out.glob('half.*'))


def test_a_perfect_detector_has_ap_1_and_no_number_for_absent_sizes(
    tiny, tmp_path, oracle
):
    result = report_on(tiny, tmp_path)
    scores = scores_of(result.metrics, CLASSES)
    assert scores['bbox'] == dict(
        AP=1,
        AP50=1,
        AP75=1,
        AP_small=1,
        AP_medium=1,
        AP_large=None,
        AR=1,
        AR_small=1,
        AR_medium=1,
        AR_large=None,
        per_class=dict(square=1, bar=1),
    )
    text = markdown(
        dict(config='c.py', checkpoint='c.pth', num_images=4, picture=None, **scores)
    )
    assert '| large  | -     | -     |' in text
    assert '| square | 1.000 |' in text and '-1' not in text


def test_half_of_the_objects_found_by_size_and_class(
    tiny, tmp_path, oracle, monkeypatch
):
    """Half of the bars, small and 48 x 44, and all squares are detected.

    Precision is 1 up to a recall of 1/2, so AP is 51 of 101 points.
    """
    predict_all = FasterRCNN.predict

    def predict(self, inputs, samples, rescale=True):
        for sample in predict_all(self, inputs, samples):
            if sample.img_id == 3:
                sample.pred_instances = sample.pred_instances[:0]
        return samples

    monkeypatch.setattr(FasterRCNN, 'predict', predict)
    boxes = scores_of(report_on(tiny, tmp_path).metrics, CLASSES)['bbox']
    half = round(51 / 101, 3)
    assert boxes['per_class'] == dict(square=1, bar=half)
    assert boxes['AP'] == boxes['AP50'] == pytest.approx((1 + 51 / 101) / 2, abs=5e-4)
    assert boxes['AR'] == 0.75
    assert (boxes['AP_small'], boxes['AP_medium']) == (1, 0)
    assert (boxes['AR_small'], boxes['AR_medium']) == (1, 0)


def test_masks_are_measured_where_the_config_does(tiny, tmp_path, oracle):

    def masks(cfg):
        cfg.model.test_cfg.masks = True
        cfg.test_evaluator.metric = ['bbox', 'segm']

    result = report_on(tiny, tmp_path, change=masks)
    scores = scores_of(result.metrics, CLASSES)
    assert scores['segm'] == scores['bbox'] and scores['segm']['AP'] == 1
    draw_detections(
        result.dataset, result.chosen, result.samples, 0.3, tmp_path / 'masks.png'
    )
    plain = report_on(tiny, tmp_path)
    draw_detections(
        plain.dataset, plain.chosen, plain.samples, 0.3, tmp_path / 'boxes.png'
    )
    drawn = [
        np.asarray(Image.open(tmp_path / f'{name}.png')).astype(int)
        for name in ('masks', 'boxes')
    ]
    # two columns of pairs: ground truth left, detections right
    for quarter in np.split(np.abs(drawn[0] - drawn[1]), 4, axis=1):
        assert quarter.max() > 50


def test_a_detector_with_averaged_weights(tiny, tmp_path, oracle):
    """RTMDet's averaged weights, which mmengine's EMAHook must see at loading."""

    def averaged(cfg):
        cfg.custom_hooks = [
            dict(
                type='EMAHook',
                ema_type='ExpMomentumEMA',
                momentum=2e-4,
                update_buffers=True,
                priority=49,
            )
        ]

    scores = scores_of(report_on(tiny, tmp_path, change=averaged).metrics, CLASSES)
    assert scores['bbox']['AP'] == 1


def test_the_config_of_a_resumed_run(tiny, tmp_path, oracle):
    """A dumped config has resume=True, but the report resumes nothing."""

    def resumed(cfg):
        cfg.resume, cfg.load_from = True, 'gone.pth'

    scores = scores_of(report_on(tiny, tmp_path, change=resumed).metrics, CLASSES)
    assert scores['bbox']['AP'] == 1


def voc_set(root):
    """Write the same images in VOC's format; the square of image 0 is difficult."""
    year = root / 'VOCdevkit' / 'VOC2007'
    for name in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (year / name).mkdir(parents=True)
    for number, objects in enumerate(OBJECTS):
        Image.new('RGB', (60, 64)).save(year / f'JPEGImages/{number}.jpg')
        (year / f'Annotations/{number}.xml').write_text(
            '<annotation><size><width>60</width><height>64</height></size>'
            + ''.join(
                f'<object><name>{CLASSES[label]}</name>'
                f'<difficult>{int(number == 0)}</difficult><bndbox>'
                f'<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>'
                f'<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>'
                for label, x, y, w, h in objects
            )
            + '</annotation>'
        )
    (year / 'ImageSets/Main/test.txt').write_text('0\n1\n2\n3\n')

    def change(cfg):
        dataset = cfg.test_dataloader.dataset
        dataset.update(
            type='VOCDataset',
            data_root=str(year.parent),
            ann_file='VOC2007/ImageSets/Main/test.txt',
            data_prefix=dict(sub_data_root='VOC2007/'),
        )
        dataset.pipeline.insert(2, dict(type='LoadAnnotations', with_bbox=True))
        cfg.test_evaluator = [
            dict(type='VOCAPMetric'),
            dict(type='CocoMetric', metric='bbox'),
        ]

    return change


def test_sets_of_vocs_format_have_sizes_and_both_definitions(tiny, tmp_path, oracle):
    result = report_on(tiny, tmp_path, change=voc_set(tmp_path))
    scores = scores_of(result.metrics, CLASSES)
    assert scores['other'] == {
        f'pascal_voc/{name}': pytest.approx(1) for name in ('mAP', 'AP50', 'AP75')
    }
    assert scores['bbox']['AP'] == scores['bbox']['AP_medium'] == 1
    assert scores['bbox']['AP_large'] is None
    draw_detections(
        result.dataset, result.chosen, result.samples, 0.3, tmp_path / 'voc.png'
    )  # with a dashed box
    assert Image.open(tmp_path / 'voc.png').size == (1760, 792)


@pytest.mark.parametrize(
    'num, chosen', [(0, []), (1, [0]), (2, [0, 3]), (3, [0, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_images_are_evenly_spaced(tiny, tmp_path, oracle, num, chosen):
    result = report_on(tiny, tmp_path, num)
    assert result.chosen == chosen
    assert [sample.img_id for sample in result.samples] == chosen


def test_a_detector_without_detections_is_an_error(tiny, tmp_path, oracle, monkeypatch):
    predict_all = FasterRCNN.predict

    def predict(self, inputs, samples, rescale=True):
        for sample in predict_all(self, inputs, samples):
            sample.pred_instances = sample.pred_instances[:0]
        return samples

    monkeypatch.setattr(FasterRCNN, 'predict', predict)
    with pytest.raises(ValueError, match='no image has a detection'):
        scores_of(report_on(tiny, tmp_path).metrics, CLASSES)


def broken(fault, config, checkpoint, out):
    """Return faulty arguments of the tool."""
    if fault == 'checkpoint':
        return config, 'gone.pth', out
    if fault == 'other':
        weights = torch.load(checkpoint)['state_dict']
        torch.save(
            dict(
                state_dict={
                    key: value
                    for key, value in weights.items()
                    if key.startswith('backbone')
                }
            ),
            checkpoint,
        )
    if fault == 'config':
        config.write_text("default_scope = 'mmdet'\n")
    if fault == 'classifier':
        config.write_text(config.read_text().replace('PackDetInputs', 'PackInputs'))
    if fault == 'annotations':
        (config.parent / 'annotations.json').unlink()
    if fault == 'image':
        (config.parent / '2.png').unlink()
    if fault == 'out':
        out.write_text('')
    return config, checkpoint, out


@pytest.mark.parametrize(
    'fault, words',
    [
        ('checkpoint', "checkpoint 'gone.pth' not found"),
        (
            'other',
            'missing, e.g. neck.lateral_convs.0.conv.weight: use a checkpoint of',
        ),
        ('config', 'the config has no test_dataloader'),
        ('classifier', 'no PackDetInputs'),
        ('annotations', 'is missing: [Errno 2]'),
        ('image', '2.png'),
        ('out', 'is a file: name a folder'),
    ],
)
def test_faulty_arguments_are_one_line(tiny, tmp_path, fails, fault, words):
    config, checkpoint, out = broken(fault, *tiny, tmp_path / 'out')
    line = fails(TOOL, config, checkpoint, '--out', out)
    assert words in line
    assert not (tmp_path / 'out' / 'report.json').exists()
