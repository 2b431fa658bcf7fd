"""Evaluation of frozen backbones on cached features.

``sources`` open labelled images in any storage, ``features`` embed and cache them,
``probes`` are the classifiers and scores, ``protocols`` combine them, and
``session`` is what the tools in ``tools/eval`` share.
"""

from .features.extract import extract_features
from .features.neighbours import nearest, nearest_neighbours
from .features.quality import alignment, rank_me, uniformity
from .probes.linear_probe import kd_probe, linear_logits, linear_probe
from .probes.logistic import LinearClassifier, cross_entropy_of, fit_classifier
from .probes.sgd_probe import SGDProbes, sgd_probe
from .probes.votes import check_labels, knn_scores, knn_votes

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
    'nearest_neighbours',
    'rank_me',
    'sgd_probe',
    'uniformity',
]
