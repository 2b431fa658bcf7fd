from .feature_extractor import FeatureExtractor
from .photos import Extracted

__all__ = ['Extracted', 'FeatureExtractor']
