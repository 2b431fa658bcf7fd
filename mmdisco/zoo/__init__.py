from .index import find, list_models
from .models import get_model

__all__ = ['find', 'get_model', 'list_models']
