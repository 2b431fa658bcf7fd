"""Scores of the student's backbone during a training."""

from .hooks import FeatureQualityHook, OnlineKNNHook, OnlineProbeHook, TeacherKNNHook
from .loop import OnlineLoop, SampleFeatures, Scorer
from .probe import FirstView, Probe, ProbeScorer, rows_of
from .sample import (
    Sample,
    balanced_indices,
    draw_samples,
    innermost,
    labels_of,
    labels_of_batch,
)
from .scorers import KNNScorer, QualityScorer, TeacherKNNScorer, top1
from .undisturbed import same_random_states, undisturbed

__all__ = [
    'FeatureQualityHook',
    'FirstView',
    'KNNScorer',
    'OnlineKNNHook',
    'OnlineLoop',
    'OnlineProbeHook',
    'Probe',
    'ProbeScorer',
    'QualityScorer',
    'Sample',
    'SampleFeatures',
    'Scorer',
    'TeacherKNNHook',
    'TeacherKNNScorer',
    'balanced_indices',
    'draw_samples',
    'innermost',
    'labels_of',
    'labels_of_batch',
    'rows_of',
    'same_random_states',
    'top1',
    'undisturbed',
]
