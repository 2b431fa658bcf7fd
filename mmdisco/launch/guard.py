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

# mmengine's messages for a misspelt type or argument in a config.
_TYPOS = (
    'unexpected keyword argument',
    'is not in the',
    'required positional argument',
    'syntax errors in config',
    'Cannot infer the rule for key',
)
# PyTorch's messages for system errors, and their remedy.
_SYSTEM = {
    r'Bus error|bus error|shared memory \(shm\)': (
        'a data loader worker is out of shared memory: enlarge /dev/shm (for '
        'Docker, --shm-size=8g or --ipc=host), or set '
        'train_dataloader.num_workers=0'
    ),
    r'DataLoader worker \(pid.* (exited unexpectedly|is killed by signal)': (
        'a data loader worker was killed, most likely out of memory: '
        'lower train_dataloader.num_workers or batch_size'
    ),
    r'EADDRINUSE|address already in use': (
        'another run uses the port: set PORT to a free one, e.g. PORT=29501 '
        'bash tools/dist_train.sh; for Slurm, MASTER_PORT'
    ),
}
# mmengine's function that stores a data set; it fails without images.
_STORE = '_serialize_data'
# Seconds between ranks of a node that fail for the same reason.
_PATIENCE = 30


@contextmanager
def one_line_errors():
    """Print errors that the user can fix as one line, with exit code 1.

    Other errors are bugs and keep their traceback.
    """
    # skips garbage collection over all objects of torch and mmpretrain at
    # exit, which takes a second
    atexit.register(gc.freeze)
    try:
        yield
    except InputError as error:
        message = str(error)
    except (TypeError, KeyError, ValueError, SyntaxError) as error:
        calls = traceback.extract_tb(error.__traceback__)
        if any(call.name == _STORE for call in calls):
            message = (
                'a data set of the config has no images left: check '
                'its ann_file, data_prefix, classes and filter_cfg'
            )
        elif any(typo in str(error) for typo in _TYPOS):
            message = f'the config does not fit: {error}'
        else:
            raise
    except RuntimeError as error:
        message = next(
            (text for words, text in _SYSTEM.items() if re.search(words, str(error))),
            None,
        )
        if message is None:
            raise
    except KeyboardInterrupt:
        print('interrupted: completed results are kept', file=sys.stderr)
        sys.exit(130)
    else:
        return
    # data loader workers prepend a traceback and the class
    last = re.sub(r'^[\w.]+Error: ', '', message.strip().split('\n')[-1])
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    if local_rank() > 0:
        # Most errors occur on all ranks. The node's first rank prints it and the
        # launcher stops the others; a rank that exits earlier stops the first.
        time.sleep(_PATIENCE)
    where = '' if rank == '0' else f'rank {rank}: '
    print(f'error: {where}{last}', file=sys.stderr)
    sys.exit(1)
