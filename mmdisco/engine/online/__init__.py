from .loop import OnlineLoop, SampleFeatures, top1
from .probe import FirstView, Probe, rows_of
from .sample import (
    Sample,
    balanced_indices,
    draw_samples,
    innermost,
    labels_of,
    labels_of_batch,
)
from .undisturbed import same_random_states, undisturbed

__all__ = [
    'FirstView',
    'OnlineLoop',
    'Probe',
    'Sample',
    'SampleFeatures',
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
