"""The models of ``model-index.yml``: names, weights, downloads."""

from .models import find, get_model, list_models
from .teachers import TeacherInfo, entry_of, list_teachers, teacher_config

__all__ = [
    'TeacherInfo',
    'entry_of',
    'find',
    'get_model',
    'list_models',
    'list_teachers',
    'teacher_config',
]
