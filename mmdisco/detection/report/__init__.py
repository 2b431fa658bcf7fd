from .draw import draw_detections
from .run import Tested, run_test
from .scores import scores_of
from .settings import measure_by_coco
from .text import markdown

__all__ = [
    'Tested',
    'draw_detections',
    'markdown',
    'measure_by_coco',
    'run_test',
    'scores_of',
]
