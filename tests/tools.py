"""Runs the tools as a user does."""

import gc
import multiprocessing
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from mmengine.config import Config
from threadpoolctl import threadpool_limits
from torch._inductor import config as inductor

ROOT = Path(__file__).parents[1]
PHOTOS = 'configs/quickstart/own_photos.py'
SMALL = {224: 64, 96: 32, 65536: 1024}  # sides of crops, DINO's outputs

# To import torch and mmpretrain takes a process five seconds. So one process
# imports them, computes nothing, and is forked for each that a test wants:
# whole processes, but for the packages that are there already. After CUDA has
# begun, or on macOS, a process must not be forked.
WARM = sys.platform == 'linux' and not torch.cuda.is_available()
START = 'forkserver' if WARM else 'spawn'
multiprocessing.set_forkserver_preload(
    ['mmdisco.experiments.quickstart', 'mmdisco.launch', 'kornia', 'sklearn.datasets']
)


# A thread of gloo that is left when Python ends may abort the process.
TELL_THREADS = """
import atexit, glob, sys
@atexit.register
def tell():
    names = [open(f).read() for f in glob.glob('/proc/self/task/*/comm')]
    # at once: other processes write to the same stream
    left = sum('gloo' in n for n in names)
    sys.stderr.write(f'gloo threads left: {left}\\n')
"""


def gloo_threads(done):
    """That each process has left, of a run with TELL_THREADS."""
    return re.findall(r'gloo threads left: (\d+)', done.stderr)


def run(*command, cwd=ROOT, env=None, check=True, cold=False):
    """Run a command; its first word may be 'python'.

    A python process that has to begin with nothing imported is ``cold``.
    """
    # two threads would wait for each other most of the time, at such sizes
    environment = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'PYTHONWARNINGS': 'ignore',
        'PYTHON': sys.executable,
        **(env or {}),
    }
    if command[0] == 'python' and WARM and not cold:
        done = _fork([*map(str, command[1:])], str(cwd), environment)
    else:
        command = [sys.executable if c == 'python' else str(c) for c in command]
        done = subprocess.run(
            command, cwd=cwd, env=environment, text=True, capture_output=True
        )
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


def _fork(words, cwd, environment):
    """What subprocess.run gives, of a tool and its arguments."""
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
    """Be the python process that runs this tool."""
    for number, stream in enumerate(streams, 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    gc.freeze()  # what all forks share is no garbage of this one
    warnings.simplefilter('ignore')
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


def small(config):
    """Options by which a config cuts small crops: most of a run's time.

    And by which DINO has few outputs, of which a checkpoint is full.
    """
    path = 'train_dataloader.dataset.pipeline'
    found = {}
    cfg = Config.fromfile(ROOT / config)
    dataset, model = cfg.train_dataloader.dataset, cfg.model
    for i, part in enumerate(dataset.get('pipeline', ())):
        if 'size' in part:
            found[f'{path}.{i}.size'] = part['size']
        for j, view in enumerate(part.get('transforms', ())):
            found[f'{path}.{i}.transforms.{j}.0.scale'] = view[0]['scale']
    if 'ssl' in model and model.ssl.type == 'DINO':
        found['model.ssl.head.out_channels'] = model.ssl.head.out_channels
    return [f'{key}={SMALL[size]}' for key, size in found.items()]


def losses(done):
    """Of each step that a training has logged."""
    return [float(x) for x in re.findall(r' loss: (-?[\d.]+)', done.stdout)]


def one_line(code, out, err):
    """The one line that a failed tool prints."""
    lines = [line for line in err.splitlines() if line.startswith('error: ')]
    assert code == 1
    assert 'Traceback' not in out + err
    assert len(lines) == 1, err[-2000:]
    return lines[0]
