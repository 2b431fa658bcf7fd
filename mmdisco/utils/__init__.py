"""Helpers used throughout the project."""

from .features import gather_rows, pooled, unwrapped
from .files import atomic_write
from .shapes import without_weights
from .system import available_cores, quiet_init, threads_for, worker_start_method

__all__ = [
    'atomic_write',
    'available_cores',
    'gather_rows',
    'pooled',
    'quiet_init',
    'threads_for',
    'unwrapped',
    'without_weights',
    'worker_start_method',
]
