"""Files of weights: reading, conversion, matching with a network, writing."""

from .checkpoint import (
    check_complete,
    check_finite,
    check_teacher_file,
    load_strictly,
    read_conversion,
    read_prototypes,
    read_teacher,
)
from .convert import Conversion, convert
from .extract import extract_backbone
from .fit import Fit, fit
from .initial import InitialWeights, initial_weights
from .libraries import rename_to
from .licence import (
    Licence,
    licence_of,
    licence_of_sha256,
    licence_of_url,
    teacher_of_file,
)
from .network import ARCHS, arch_config
from .safe_load import safe_load, sha256_of
from .save import origin, save_weights
from .settings import check_settings, warn_assumed
from .student import Student, load_student
from .timm_layouts import LibraryWeights, read_timm
from .torchvision_layouts import read_torchvision
from .wrappers import bare_name, bare_names, momentum_encoder

__all__ = [
    'ARCHS',
    'Conversion',
    'Fit',
    'InitialWeights',
    'LibraryWeights',
    'Licence',
    'Student',
    'arch_config',
    'bare_name',
    'bare_names',
    'check_complete',
    'check_finite',
    'check_settings',
    'check_teacher_file',
    'convert',
    'extract_backbone',
    'fit',
    'initial_weights',
    'licence_of',
    'licence_of_sha256',
    'licence_of_url',
    'load_strictly',
    'load_student',
    'momentum_encoder',
    'origin',
    'read_conversion',
    'read_prototypes',
    'read_teacher',
    'read_timm',
    'read_torchvision',
    'rename_to',
    'safe_load',
    'save_weights',
    'sha256_of',
    'teacher_of_file',
    'warn_assumed',
]
