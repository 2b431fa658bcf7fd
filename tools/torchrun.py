"""torchrun, without its traceback: each rank has told its error already."""
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == '__main__':
    try:
        main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f'rank {rank} stopped first, exit code {failure.exitcode}',
              file=sys.stderr)
        sys.exit(1)
