"""The models of ``model-index.yml``: names, weights, downloads."""

from .models import find, get_model, list_models

__all__ = [
    'find',
    'get_model',
    'list_models',
]
