"""torchrun without tracebacks: each rank already prints its error."""

import sys

from torch.distributed import DistNetworkError
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == '__main__':
    try:
        main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        sys.exit(f'rank {rank} stopped first, exit code {failure.exitcode}')
    except DistNetworkError as error:
        reason = str(error).split('\n')[0]
        sys.exit(
            f'error: {reason}: set PORT to a free port, e.g. PORT=29501, and '
            'MASTER_ADDR to the first node'
        )
    except ValueError as error:  # e.g. a wrong number of GPUs
        sys.exit(f'error: {error}')
