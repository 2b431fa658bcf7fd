"""Features of images from Python."""

from mmdisco.errors import InputError, MissingFileError
from .feature_extractor import FeatureExtractor
from .photos import Extracted

__all__ = [
    'Extracted',
    'FeatureExtractor',
    'InputError',
    'MissingFileError',
]
