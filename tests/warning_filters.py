"""Importing this module sets the warning filters of pytest.ini; others are ignored.

For the processes that tests start, which pytest does not configure.
"""

import builtins
import warnings
from configparser import ConfigParser
from pathlib import Path

ini = ConfigParser(interpolation=None)
ini.read(Path(__file__).parents[1] / 'pytest.ini')
warnings.simplefilter('ignore')
for line in ini['pytest']['filterwarnings'].split('\n'):
    if line:
        action, message, category, module = [*line.split(':'), ''][:4]
        warnings.filterwarnings(action, message, getattr(builtins, category), module)
