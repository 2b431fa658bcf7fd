"""Config and processes of a run, before anything is built."""

from .checks import check_config, check_folder
from .commercial import check_commercial
from .dist import init_processes, leave_group, local_rank, prepare_dist
from .guard import one_line_errors
from .loaders import fit_queue, set_up_loader
from .options import ConfigOptions
from .overrides import apply_overrides, read_config
from .resume import newest_checkpoint, set_start
from .schedule import check_schedule, scale_lr, unreached
from .scope import add_hooks, is_detector, scoped_name
from .smoke import shrink
from .smoke_detection import shrink_detection
from .speed import LEVELS, apply_speed
from .student import check_detection_files
from .teacher_store import use_store

__all__ = [
    'ConfigOptions',
    'LEVELS',
    'add_hooks',
    'apply_overrides',
    'apply_speed',
    'check_commercial',
    'check_config',
    'check_detection_files',
    'check_folder',
    'check_schedule',
    'fit_queue',
    'init_processes',
    'is_detector',
    'leave_group',
    'local_rank',
    'newest_checkpoint',
    'one_line_errors',
    'prepare_dist',
    'read_config',
    'scale_lr',
    'scoped_name',
    'set_start',
    'set_up_loader',
    'shrink',
    'shrink_detection',
    'unreached',
    'use_store',
]
