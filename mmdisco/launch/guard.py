"""Errors of the user as one line."""

import atexit
import gc
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mmdisco.errors import InputError
from .dist import local_rank

# mmengine's messages about a misspelt type or argument in a config.
_TYPOS = (
    'unexpected keyword argument',
    'is not in the',
    'required positional argument',
    'syntax errors in config',
    'Cannot infer the rule for key',
)
# PyTorch's messages about failures of the system, and their explanation.
_SYSTEM = {
    r'Bus error|bus error|shared memory \(shm\)': (
        'a worker of the loader has no shared memory left: enlarge /dev/shm (for '
        'Docker, --shm-size=8g or --ipc=host), or set '
        'train_dataloader.num_workers=0'
    ),
    r'DataLoader worker \(pid.* (exited unexpectedly|is killed by signal)': (
        'a worker of the loader was killed, probably because memory ran out: '
        'lower train_dataloader.num_workers or batch_size'
    ),
    r'EADDRINUSE|address already in use': (
        'another run uses the port: set PORT to a free one, as PORT=29501 '
        'bash tools/dist_train.sh; MASTER_PORT for Slurm'
    ),
}
# mmengine's function that fails on a data set without images.
_STORE = '_serialize_data'
# Maximum delay in seconds between ranks of a node that hit the same fault.
_PATIENCE = 30


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print errors that the user can fix as one line, and exit with code 1.

    Other errors are defects and keep their traceback.
    """
    # Otherwise Python searches all objects of torch and mmpretrain for garbage
    # at exit, which takes a second.
    atexit.register(gc.freeze)
    try:
        yield
    except InputError as error:
        message = str(error)
    except (TypeError, KeyError, ValueError, SyntaxError) as error:
        calls = traceback.extract_tb(error.__traceback__)
        if any(call.name == _STORE for call in calls):
            message = (
                'a data set of the config has no images: check '
                'its ann_file, data_prefix, classes and filter_cfg'
            )
        elif any(typo in str(error) for typo in _TYPOS):
            message = f'the config does not fit: {error}'
        else:
            raise
    except RuntimeError as error:
        explanations = [
            text for pattern, text in _SYSTEM.items() if re.search(pattern, str(error))
        ]
        if not explanations:
            raise
        message = explanations[0]
    except KeyboardInterrupt:
        print('interrupted: finished work is kept', file=sys.stderr)
        sys.exit(130)
    else:
        return
    # A worker of the loader prepends a traceback and the class.
    last = re.sub(r'^[\w.]+Error: ', '', message.strip().split('\n')[-1])
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    if local_rank() > 0:
        # Most faults occur on all ranks. The node's first rank prints its message
        # and the launcher then stops the others; an earlier exit of another rank
        # would stop the first one before it prints.
        time.sleep(_PATIENCE)
    where = '' if rank == '0' else f'rank {rank}: '
    print(f'error: {where}{last}', file=sys.stderr)
    sys.exit(1)
