import os
import sys
from contextlib import contextmanager

from mmdisco.errors import InputError

# What mmengine says of a misspelt type or argument in a config.
_TYPOS = ('unexpected keyword argument', 'is not in the',
          'required positional argument', 'syntax errors in config')


@contextmanager
def one_line_errors():
    """Print what the user can mend as one line; exit code 1, no traceback.

    Anything else is a defect and keeps its traceback.
    """
    try:
        yield
    except InputError as error:
        message = str(error)
    except (TypeError, KeyError, SyntaxError) as error:
        if not any(typo in str(error) for typo in _TYPOS):
            raise
        message = f'the config does not fit: {error}'
    except KeyboardInterrupt:
        print('interrupted: what is done is kept', file=sys.stderr)
        sys.exit(130)
    else:
        return
    if os.environ.get('RANK', '0') == '0':
        last = message.strip().split('\n')[-1]  # workers prepend a traceback
        print(f'error: {last}', file=sys.stderr)
    sys.exit(1)
