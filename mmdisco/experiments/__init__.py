from .figures import draw_summary
from .jobs import Job, run_jobs, scalars
from .quickstart import evaluate, untrained_teacher
from .stats import provenance, summarise, write_summary

__all__ = [
    'Job',
    'draw_summary',
    'evaluate',
    'provenance',
    'run_jobs',
    'scalars',
    'summarise',
    'untrained_teacher',
    'write_summary',
]
