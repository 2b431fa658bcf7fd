"""Test report of a detector: scores, tables and a picture of detections."""

from .page import draw_detections, markdown
from .run import Tested, measure_by_coco, run_test, scores_of

__all__ = [
    'Tested',
    'draw_detections',
    'markdown',
    'measure_by_coco',
    'run_test',
    'scores_of',
]
