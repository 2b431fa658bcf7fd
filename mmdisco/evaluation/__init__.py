from .features import extract_features
from .knn import knn_scores
from .linear import linear_probe

__all__ = ['extract_features', 'knn_scores', 'linear_probe']
