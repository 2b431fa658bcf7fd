"""Starts Python processes that have torch and mmpretrain imported already.

Why not ``runpy`` in the process of the tests, as the fixture ``fails`` does: the
tests of several ranks need processes of their own, and a training leaves a
process group, loggers, random states and compiled functions behind. A cold
process imports for five to nine seconds of CPU time. So one process imports the
packages, computes nothing, and is forked for each process that a test wants.
"""

import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch._inductor import config as inductor

ROOT = Path(__file__).parents[1]
# After CUDA has begun, or on macOS, a process must not be forked.
WARM = sys.platform == 'linux' and not torch.cuda.is_available()
START = 'forkserver' if WARM else 'spawn'
multiprocessing.set_forkserver_preload(
    [
        'mmdisco.experiments.quickstart',
        'mmdisco.launch',
        'kornia',
        'sklearn.datasets',
        'tests.warning_filters',  # as in the process of the tests
    ]
)


def fork(words, cwd, environment):
    """Run a tool with its arguments; the result is as of ``subprocess.run``."""
    with TemporaryDirectory() as folder:
        streams = [f'{folder}/stdout', f'{folder}/stderr']
        process = multiprocessing.get_context('forkserver').Process(
            target=_become, args=(words, cwd, environment, streams)
        )
        process.start()
        process.join()
        return subprocess.CompletedProcess(
            words, process.exitcode, *(Path(s).read_text() for s in streams)
        )


def _become(words, cwd, environment, streams):
    """Become the Python process that runs this tool."""
    for number, stream in enumerate(streams, 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    gc.freeze()  # what all forks share is no garbage of this one
    np.random.seed()  # else as random as the other forks
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    # what the packages have read already
    threads = int(environment['OMP_NUM_THREADS'])
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    if 'CXX' in environment:
        inductor.cpp.cxx = None, environment['CXX']
    tool = Path(cwd, words[0])
    # python puts the tool's folder where pytest had put the root
    sys.path[:] = [
        str(tool.parent),
        *(p for p in sys.path if Path(p) not in (Path(), ROOT)),
    ]
    sys.argv[1:] = words[1:]
    runpy.run_path(str(tool), run_name='__main__')
