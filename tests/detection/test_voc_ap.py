"""AP of VOC boxes by VOC's and COCO's definition, against plain loops.

The two differ in more than the interpolation: VOC counts a box from pixel 10
to 19 as ten wide, COCO as nine (mmdet gives both the same coordinates). VOC
ignores a detection if the object it overlaps most is difficult; COCO, to which
such objects are crowd regions, if they cover the detection. COCO matches a
detection to the next object if the best is taken.
"""

import contextlib
import io
import logging

import numpy as np
import pytest
from mmengine.logging import MMLogger
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.detection.boxes import CLASSES, SIDE, Image, evaluate, images

IOUS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
COCO_METRIC = dict(type='CocoMetric', metric='bbox', classwise=True)


def iou_of(a, b, pixel):
    w = min(a[2], b[2]) - max(a[0], b[0]) + pixel
    h = min(a[3], b[3]) - max(a[1], b[1]) + pixel
    if w <= 0 or h <= 0:
        return 0
    area = sum((box[2] - box[0] + pixel) * (box[3] - box[1] + pixel) for box in (a, b))
    return w * h / (area - w * h)


def detections(found, label):
    """Return (score, image, box) of a class, highest score first."""
    return sorted(
        (
            (score, number, box)
            for number, image in enumerate(found)
            for box, own, score in zip(image.found, image.found_labels, image.scores)
            if own == label
        ),
        reverse=True,
    )


def voc_curve(found, label, least):
    """Return recall and precision after each detection, as VOCevaldet.m."""
    truth = [
        [(box, hard) for box, own, hard in zip(*image[:3]) if own == label]
        for image in found
    ]
    number = sum(not hard for boxes in truth for _, hard in boxes)
    taken, tp, fp, curve = set(), 0, 0, []
    for _, at, box in detections(found, label):
        best, which = -1, None
        for i, (other, _) in enumerate(truth[at]):
            if iou_of(box, other, 1) > best:
                best, which = iou_of(box, other, 1), i
        if best >= least and truth[at][which][1]:
            pass  # difficult: neither right nor wrong
        elif best >= least and (at, which) not in taken:
            taken.add((at, which))
            tp += 1
        else:
            fp += 1
        curve.append((tp / number if number else 0, tp / max(tp + fp, 1)))
    return number, curve


def eleven_points(curve):
    points = [
        max([p for r, p in curve if r >= t], default=0) for t in np.arange(0, 1.1, 0.1)
    ]
    return sum(points) / 11


def area(curve):
    total, last = 0, 0
    for i, (recall, _) in enumerate(curve):
        total += (recall - last) * max(p for _, p in curve[i:])
        last = recall
    return total


def voc_ap(found, interpolate):
    """Return the mean over the classes with objects, for each IoU."""
    curves = {iou: [voc_curve(found, label, iou) for label in range(4)] for iou in IOUS}
    return {
        iou: np.mean([interpolate(c) for number, c in of if number])
        for iou, of in curves.items()
    }


@pytest.mark.parametrize(
    'mode, interpolate', [('11points', eleven_points), ('area', area)]
)
def test_voc_ap_is_that_of_the_devkit(mode, interpolate):
    found = images()
    expected = voc_ap(found, interpolate)
    metrics = evaluate([dict(type='VOCAPMetric', eval_mode=mode)], found)
    assert metrics == pytest.approx(
        {
            'pascal_voc/mAP': np.mean([*expected.values()]),
            'pascal_voc/AP50': expected[0.5],
            'pascal_voc/AP75': expected[0.75],
        },
        abs=1e-6,
    )
    assert 0.2 < expected[0.75] < expected[0.5] < 0.95


def test_mmdets_own_metric_gives_the_same_rounded_and_ten_tables():
    found = images()
    ours, tables = logged([dict(type='VOCAPMetric')], found)
    mmdets, ten = logged([dict(type='VOCMetric', iou_thrs=IOUS)], found)
    assert mmdets['pascal_voc/mAP'] == pytest.approx(ours['pascal_voc/mAP'])
    for name in ('pascal_voc/AP50', 'pascal_voc/AP75'):
        assert mmdets[name] == round(ours[name], 3)
    assert (tables, ten) == (1, 10)


def logged(metrics, found):
    """Return the scores and the number of class tables in the log."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        scores = evaluate(metrics, found)
        return scores, log.getvalue().count('| class ')
    finally:
        logger.removeHandler(handler)


def coco_dict(found):
    """Return a COCO annotation dict; difficult objects are crowd regions."""
    annotations = [
        dict(
            image_id=f'{number:06d}',
            category_id=label,
            iscrowd=hard,
            bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
            area=(box[2] - box[0]) * (box[3] - box[1]),
        )
        for number, image in enumerate(found)
        for box, label, hard in zip(*image[:3])
    ]
    return dict(
        info={},
        images=[
            dict(id=f'{i:06d}', width=SIDE, height=SIDE) for i in range(len(found))
        ],
        categories=[dict(id=i, name=n) for i, n in enumerate(CLASSES)],
        annotations=[dict(a, id=i + 1) for i, a in enumerate(annotations)],
    )


def pycocotools_stats(found):
    results = [
        dict(
            image_id=f'{number:06d}',
            category_id=label,
            score=score,
            bbox=[x1, y1, x2 - x1, y2 - y1],
        )
        for number, image in enumerate(found)
        for (x1, y1, x2, y2), label, score in zip(*image[3:])
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco_dict(found)
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), 'bbox')
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


def test_coco_ap_is_that_of_pycocotools():
    found = images()
    metrics = evaluate([COCO_METRIC], found)
    names = ['mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l']
    assert [metrics[f'coco/bbox_{name}'] for name in names] == pytest.approx(
        pycocotools_stats(found)[:6], abs=5.1e-4
    )  # mmdet rounds to 3 digits
    assert metrics['coco/bbox_mAP_l'] == -1  # no object is above 96 x 96
    assert np.isnan(metrics['coco/bus_precision'])


def coco_ap(found, label, least):
    """Return the mean precision at 101 recalls."""
    number = sum(image.labels.count(label) for image in found)
    taken, tp, curve = set(), 0, []
    for i, (_, at, box) in enumerate(detections(found, label)):
        free = [
            (iou_of(box, other, 0), j)
            for j, (other, own) in enumerate(zip(*found[at][:2]))
            if own == label and (at, j) not in taken
        ]
        iou, which = max(free, default=(0, None))
        if iou >= least:
            taken.add((at, which))
            tp += 1
        curve.append((tp / number, tp / (i + 1)))
    return np.mean(
        [max([p for r, p in curve if r >= t / 100], default=0) for t in range(101)]
    )


def test_coco_ap_is_that_of_a_plain_loop_where_nothing_is_difficult():
    found = images(difficult=False, seed=1)
    expected = {iou: [coco_ap(found, label, iou) for label in range(3)] for iou in IOUS}
    metrics = evaluate([COCO_METRIC], found)
    assert 0.2 < np.mean(expected[0.75]) < np.mean(expected[0.5]) < 0.95
    for name, value in [
        ('mAP', np.mean([*expected.values()])),
        ('mAP_50', np.mean(expected[0.5])),
        ('mAP_75', np.mean(expected[0.75])),
    ]:
        assert metrics[f'coco/bbox_{name}'] == pytest.approx(value, abs=5.1e-4)
    for label, name in enumerate(CLASSES[:3]):
        by_iou = [aps[label] for aps in expected.values()]
        assert metrics[f'coco/{name}_precision'] == pytest.approx(
            np.mean(by_iou), abs=5.1e-4
        )


@pytest.mark.parametrize(
    'image, voc, coco',
    [
        # 10 x 5 of 10 x 10 pixels is one half; 9 x 4 of 9 x 9 is less
        (Image([[10, 10, 19, 19]], [0], [0], [[10, 10, 19, 14]], [0], [0.9]), 1, 0),
        # a detection in a corner of a difficult object
        (
            Image(
                [[10, 10, 30, 30], [50, 50, 150, 150]],
                [0, 0],
                [0, 1],
                [[50, 50, 70, 70], [10, 10, 30, 30]],
                [0, 0],
                [0.9, 0.8],
            ),
            0.5,
            1,
        ),
        # overlaps most with the first object, already matched; enough with the second
        (
            Image(
                [[10, 10, 109, 59], [10, 20, 109, 69]],
                [0, 0],
                [0, 0],
                [[10, 10, 109, 59], [10, 14, 109, 63]],
                [0, 0],
                [0.9, 0.8],
            ),
            6 / 11,
            1,
        ),
    ],
    ids=['pixels', 'difficult', 'second'],
)
def test_where_the_definitions_differ(image, voc, coco):
    metrics = evaluate([dict(type='VOCAPMetric'), COCO_METRIC], [image])
    assert metrics['pascal_voc/AP50'] == pytest.approx(voc)
    assert metrics['coco/bbox_mAP_50'] == pytest.approx(coco)
