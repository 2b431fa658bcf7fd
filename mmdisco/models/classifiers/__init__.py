"""Classifiers on frozen backbones, with and without a teacher's logits."""

from .frozen_classifier import FrozenClassifier
from .kd_classifier import KDClassifier
from .linear_classifier import LinearClassifier

__all__ = ['FrozenClassifier', 'KDClassifier', 'LinearClassifier']
