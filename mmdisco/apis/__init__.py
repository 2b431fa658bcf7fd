"""Training and features from Python."""

from mmdisco.errors import InputError, MissingFileError
from .distillation import Trained, distill, pretrain
from .feature_extractor import FeatureExtractor
from .photos import Extracted

__all__ = [
    'Extracted',
    'FeatureExtractor',
    'InputError',
    'MissingFileError',
    'Trained',
    'distill',
    'pretrain',
]
