import atexit
import gc
import os
import re
import sys
import time
import traceback
from contextlib import contextmanager

from mmdisco.errors import InputError
from .dist import local_rank

# What mmengine says of a misspelt type or argument in a config.
_TYPOS = (
    'unexpected keyword argument',
    'is not in the',
    'required positional argument',
    'syntax errors in config',
    'Cannot infer the rule for key',
)
# What PyTorch says when the system has refused something, and what it means.
_SYSTEM = {
    r'Bus error|bus error|shared memory \(shm\)': (
        'a worker of the loader found no shared memory: enlarge /dev/shm (for '
        'Docker, --shm-size=8g or --ipc=host), or set '
        'train_dataloader.num_workers=0'
    ),
    r'DataLoader worker \(pid.* (exited unexpectedly|is killed by signal)': (
        'a worker of the loader was killed, most likely for want of memory: '
        'lower train_dataloader.num_workers or batch_size'
    ),
    r'EADDRINUSE|address already in use': (
        'another run uses the port: set PORT to a free one, as PORT=29501 '
        'bash tools/dist_train.sh; for Slurm, MASTER_PORT'
    ),
}
# Where mmengine stores a data set's images, which fails if there are none.
_STORE = '_serialize_data'
# Seconds that ranks of a node may differ in meeting the same fault.
_PATIENCE = 30


@contextmanager
def one_line_errors():
    """Print what the user can mend as one line; exit code 1, no traceback.

    Anything else is a defect and keeps its traceback.
    """
    # Else Python ends by looking through all objects of torch and mmpretrain
    # for garbage, more than once: a second, for memory that the system frees.
    atexit.register(gc.freeze)
    try:
        yield
    except InputError as error:
        message = str(error)
    except (TypeError, KeyError, ValueError, SyntaxError) as error:
        calls = traceback.extract_tb(error.__traceback__)
        if any(call.name == _STORE for call in calls):
            message = (
                'a data set of the config has no image left: look at '
                'its ann_file, data_prefix, classes and filter_cfg'
            )
        elif any(typo in str(error) for typo in _TYPOS):
            message = f'the config does not fit: {error}'
        else:
            raise
    except RuntimeError as error:
        message = next(
            (says for words, says in _SYSTEM.items() if re.search(words, str(error))),
            None,
        )
        if message is None:
            raise
    except KeyboardInterrupt:
        print('interrupted: what is done is kept', file=sys.stderr)
        sys.exit(130)
    else:
        return
    # A worker of the loader prepends a traceback and the class.
    last = re.sub(r'^[\w.]+Error: ', '', message.strip().split('\n')[-1])
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    if local_rank() > 0:
        # Most faults meet all ranks. The node's first one tells it once, and
        # the launcher then ends the others; who exits earlier ends the first.
        time.sleep(_PATIENCE)
    where = '' if rank == '0' else f'rank {rank}: '
    print(f'error: {where}{last}', file=sys.stderr)
    sys.exit(1)
