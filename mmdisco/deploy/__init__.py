"""Export and publication of students."""

from .publish import Published, entry_of
from .run import FORMATS, export_student

__all__ = [
    'FORMATS',
    'Published',
    'entry_of',
    'export_student',
]
