from .dist import prepare_dist
from .guard import one_line_errors
from .jobs import Job, run_jobs
from .overrides import apply_overrides, read_config
from .queue import fit_queue
from .smoke import shrink

__all__ = [
    'Job', 'apply_overrides', 'fit_queue', 'one_line_errors', 'prepare_dist',
    'read_config', 'run_jobs', 'shrink'
]
