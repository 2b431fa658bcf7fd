from .metafile import entry_of
from .outputs import FeatureMaps, Pooled, image_size
from .publish import Published
from .run import FORMATS, export_student
from .save import origin, save_weights
from .student import Student, load_student

__all__ = [
    'FORMATS',
    'FeatureMaps',
    'Pooled',
    'Published',
    'Student',
    'entry_of',
    'export_student',
    'image_size',
    'load_student',
    'origin',
    'save_weights',
]
