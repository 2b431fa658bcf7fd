from .features import extract_features
from .kd_probe import fit_classifier, kd_probe
from .knn import knn_scores
from .linear import linear_logits, linear_probe

__all__ = [
    'extract_features', 'fit_classifier', 'kd_probe', 'knn_scores',
    'linear_logits', 'linear_probe'
]
