from .outputs import FeatureMaps, Pooled, image_size
from .publish import Published, entry_of
from .run import FORMATS, export_student

__all__ = [
    'FORMATS',
    'FeatureMaps',
    'Pooled',
    'Published',
    'entry_of',
    'export_student',
    'image_size',
]
