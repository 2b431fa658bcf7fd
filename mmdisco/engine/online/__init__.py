from .first_view import FirstView, rows_of
from .labels import innermost, labels_of, labels_of_batch
from .loop import OnlineLoop, SampleFeatures, top1
from .probe import Probe
from .sample import Sample, balanced_indices, draw_samples
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
