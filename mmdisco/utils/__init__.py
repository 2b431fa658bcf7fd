"""Helpers used throughout the project."""

from .features import gather_rows, pooled, unwrapped
from .files import atomic_write
from .system import available_cores, quiet_init, threads_for

__all__ = [
    'atomic_write',
    'available_cores',
    'gather_rows',
    'pooled',
    'quiet_init',
    'threads_for',
    'unwrapped',
]
