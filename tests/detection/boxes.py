"""A fixed set of boxes, and helpers that evaluate it with detection metrics."""

from typing import NamedTuple

import mmdet.evaluation  # noqa: F401  registers the metrics
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import mmdisco.detection.metrics  # noqa: F401

CLASSES = ('dog', 'person', 'sofa', 'bus')  # no image has a bus
SIDE = 200


class Image(NamedTuple):
    """Objects and detections of an image; boxes are x1, y1, x2, y2."""

    boxes: list[list[int]]
    labels: list[int]
    difficult: list[int]
    found: list[list[float]]
    found_labels: list[int]
    scores: list[float]


def images(difficult: bool = True, seed: int = 0) -> list[Image]:
    """Make objects detected well, badly, twice, as another class, or not at all."""
    rng = np.random.RandomState(seed)
    made = []
    for _ in range(8):
        boxes, labels, hard, found, found_labels = [], [], [], [], []
        for _ in range(rng.randint(0, 6)):
            x, y = rng.randint(0, 120, 2)
            w, h = rng.randint(12, 80, 2)
            boxes.append([x, y, x + w, y + h])
            labels.append(rng.randint(3))
            hard.append(int(difficult and rng.rand() < 0.3))
            for _ in range(rng.randint(0, 4)):
                jitter = rng.uniform(-0.12, 0.12, 4) * [w, h, w, h]
                found.append(list(boxes[-1] + jitter))
                wrong = rng.rand() < 0.1
                found_labels.append(rng.randint(4) if wrong else labels[-1])
        for _ in range(rng.randint(0, 3)):
            x, y, w, h = rng.uniform(10, 90, 4)
            found.append([x, y, x + w, y + h])
            found_labels.append(rng.randint(4))
        scores = [float(s) for s in rng.rand(len(found))]
        made.append(Image(boxes, labels, hard, found, found_labels, scores))
    scores = [score for image in made for score in image.scores]
    assert len(set(np.float32(scores))) == len(scores)  # no ties
    return made


def sample(number: int, image: Image) -> DetDataSample:
    """Pack an image as a test pipeline and a detector do."""

    def instances(chosen):
        return InstanceData(
            bboxes=torch.tensor(
                [image.boxes[i] for i in chosen], dtype=torch.float32
            ).reshape(-1, 4),
            labels=torch.tensor([image.labels[i] for i in chosen]).long(),
        )

    listed = [
        dict(bbox=box, bbox_label=label, ignore_flag=hard)
        for box, label, hard in zip(*image[:3])
    ]
    result = DetDataSample(
        metainfo=dict(img_id=f'{number:06d}', ori_shape=(SIDE, SIDE), instances=listed)
    )
    every = range(len(image.boxes))
    result.gt_instances = instances([i for i in every if not image.difficult[i]])
    result.ignored_instances = instances([i for i in every if image.difficult[i]])
    result.pred_instances = InstanceData(
        bboxes=torch.tensor(image.found, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(image.scores, dtype=torch.float32),
        labels=torch.tensor(image.found_labels).long(),
    )
    return result


def evaluate(metrics: list[dict], found: list[Image]) -> dict[str, float]:
    """Evaluate with mmengine's Evaluator, as in a test."""
    init_default_scope('mmdet')
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dict(classes=CLASSES, dataset_type='VOC2007')
    evaluator.process([sample(i, image) for i, image in enumerate(found)])
    return evaluator.evaluate(len(found))
