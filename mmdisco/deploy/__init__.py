"""Export and publication of students."""

from .card import Card
from .publish import Published, entry_of
from .run import FORMATS, export_student
from .timm_folder import is_folder, publish_timm_folder
from .upload import check_repo, upload

__all__ = [
    'FORMATS',
    'Card',
    'Published',
    'check_repo',
    'entry_of',
    'export_student',
    'is_folder',
    'publish_timm_folder',
    'upload',
]
