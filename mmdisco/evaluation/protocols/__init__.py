from .few import by_few_shots, by_share, check_shares, plus_minus
from .knn import KS, TEMPERATURES, by_knn
from .linear import RATES, by_lbfgs, by_sgd
from .retrieval import by_retrieval

__all__ = [
    'KS',
    'RATES',
    'TEMPERATURES',
    'by_few_shots',
    'by_knn',
    'by_lbfgs',
    'by_retrieval',
    'by_sgd',
    'by_share',
    'check_shares',
    'plus_minus',
]
