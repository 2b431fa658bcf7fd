from .metafile import entry_of
from .outputs import FeatureMaps, Pooled, image_size
from .publish import Published
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
