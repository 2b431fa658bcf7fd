"""Evaluation protocols on cached features; each module states its steps."""

from .few import check_fractions, few_shot_accuracy, label_fraction, plus_minus
from .knn import KS, TEMPERATURES, knn_accuracy
from .linear import RATES, linear_lbfgs, linear_sgd
from .retrieval import retrieval_map

__all__ = [
    'KS',
    'RATES',
    'TEMPERATURES',
    'few_shot_accuracy',
    'knn_accuracy',
    'linear_lbfgs',
    'retrieval_map',
    'linear_sgd',
    'label_fraction',
    'check_fractions',
    'plus_minus',
]
