from .figure import draw_summary
from .quickstart import evaluate, untrained_teacher
from .summary import provenance, summarise, write_summary

__all__ = [
    'draw_summary',
    'evaluate',
    'provenance',
    'summarise',
    'untrained_teacher',
    'write_summary',
]
