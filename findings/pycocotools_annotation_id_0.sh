#!/usr/bin/env bash
# pycocotools 2.0.11: a detection that matches the annotation with id 0 is counted
# as a false positive.
#
# COCOeval.evaluateImg stores the id of the matched annotation in `dtMatches`,
# where 0 means no match, and accumulate() counts each 0 as a false positive.
# Ids that start at 0 (written by many converters) are valid: COCO() and loadRes()
# accept them silently. Two images with one object each, both detected exactly:
#
#     ids 1, 2: AP 1.000   ids 0, 1: AP 0.252
#
# Exit code 0 if the output is as above, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pycocotools==2.0.11 numpy==2.2.6
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def average_precision(ids):
    """AP of a detector that finds both objects exactly."""
    truth = COCO()
    truth.dataset = dict(
        images=[dict(id=i, width=64, height=64) for i in (1, 2)],
        categories=[dict(id=1, name='a')],
        annotations=[dict(id=number, image_id=image, category_id=1, iscrowd=0,
                          bbox=[1, 2, 30, 40], area=1200)
                     for image, number in zip((1, 2), ids)])
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes([dict(image_id=i, category_id=1, score=.9,
                                    bbox=[1, 2, 30, 40]) for i in (1, 2)])
        evaluation = COCOeval(truth, found, 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 3)


from_1, from_0 = average_precision((1, 2)), average_precision((0, 1))
print(f'ids 1, 2: AP {from_1:.3f}   ids 0, 1: AP {from_0:.3f}')
raise SystemExit((from_1, from_0) != (1, .252))
PYTHON
