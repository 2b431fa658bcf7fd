"""The models of ``model-index.yml``: names, weights, downloads."""

from .models import find, get_model, list_models
from .teachers import TeacherInfo, list_teachers, teacher_config

__all__ = [
    'TeacherInfo',
    'find',
    'get_model',
    'list_models',
    'list_teachers',
    'teacher_config',
]
