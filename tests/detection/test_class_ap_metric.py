"""Each class's AP has the right name for any order of category ids."""

import json

import pytest
import torch
from mmdet.evaluation import CocoMetric

from mmdisco.detection import ClassAPMetric
from tests.detection.tiny_set import CLASSES, OBJECTS, tiny_set


def evaluate(kind, path, found):
    """Return AP by class for a detector that finds only objects of one label."""
    metric = kind(str(path), 'bbox', classwise=True)
    metric.dataset_meta = dict(classes=CLASSES)
    for _ in range(2):  # as after each epoch
        for number, objects in enumerate(OBJECTS):
            boxes = torch.tensor(
                [
                    [x, y, x + w, y + h]
                    for label, x, y, w, h in objects
                    if label == found
                ]
            ).view(-1, 4)
            metric.process(
                {},
                [
                    dict(
                        img_id=number,
                        ori_shape=(64, 60),
                        pred_instances=dict(
                            bboxes=boxes.float(),
                            scores=torch.ones(len(boxes)),
                            labels=torch.full((len(boxes),), found),
                        ),
                    )
                ],
            )
        scores = metric.evaluate(len(OBJECTS))
    return [scores[f'coco/{name}_precision'] for name in CLASSES]


@pytest.mark.parametrize('ids', [(0, 1), (1, 0), (9, 4)])
@pytest.mark.parametrize('found', [0, 1])
def test_each_class_has_its_own_ap(tmp_path, ids, found):
    path = tiny_set(tmp_path / 'set').with_name('annotations.json')
    content = json.loads(path.read_text())
    for category, number in zip(content['categories'], ids):
        category['id'] = number
    for entry in content['annotations']:
        entry['category_id'] = ids[entry['category_id']]
    path.write_text(json.dumps(content))
    expected = [1 - found, found]
    assert evaluate(ClassAPMetric, path, found) == expected
    # the reason for this metric
    assert evaluate(CocoMetric, path, found) == (
        expected if ids == (0, 1) else expected[::-1]
    )
