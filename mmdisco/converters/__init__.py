from .archs import ARCHS, arch_config
from .checkpoint import check_finite, load_strictly, read_conversion
from .convert import Conversion, convert
from .fit import Fit, fit
from .initial import InitialWeights, initial_weights
from .libraries import rename_to
from .momentum import momentum_encoder
from .prototypes import read_prototypes
from .safe_load import safe_load, sha256_of
from .settings import check_settings, warn_assumed
from .teacher import read_teacher
from .wrappers import bare_name, bare_names

__all__ = [
    'ARCHS',
    'Conversion',
    'Fit',
    'InitialWeights',
    'arch_config',
    'bare_name',
    'bare_names',
    'check_finite',
    'check_settings',
    'convert',
    'fit',
    'initial_weights',
    'load_strictly',
    'momentum_encoder',
    'read_conversion',
    'read_prototypes',
    'read_teacher',
    'rename_to',
    'safe_load',
    'sha256_of',
    'warn_assumed',
]
