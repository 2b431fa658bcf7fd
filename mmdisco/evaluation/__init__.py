from .alignment_uniformity import alignment, uniformity
from .extract import extract_features
from .kd_probe import kd_probe
from .knn import check_labels, knn_scores, knn_votes
from .linear import linear_logits, linear_probe
from .logistic import LinearClassifier, cross_entropy_of, fit_classifier
from .nearest import nearest
from .rank_me import rank_me
from .sgd_probe import SGDProbes, sgd_probe

__all__ = [
    'LinearClassifier',
    'SGDProbes',
    'alignment',
    'check_labels',
    'cross_entropy_of',
    'extract_features',
    'fit_classifier',
    'kd_probe',
    'knn_scores',
    'knn_votes',
    'linear_logits',
    'linear_probe',
    'nearest',
    'rank_me',
    'sgd_probe',
    'uniformity',
]
