"""Runs the tools as a user does."""

import os
import re
import subprocess
import sys

from mmengine.config import Config

from tests.forkserver import ROOT, WARM, fork

PHOTOS = 'configs/quickstart/own_photos.py'
SMALL = {224: 64, 96: 32, 65536: 1024}  # sides of crops, DINO's outputs


# A thread of gloo that is left when Python ends may abort the process.
COUNT_THREADS = """
import atexit, glob, sys
@atexit.register
def report():
    names = [open(f).read() for f in glob.glob('/proc/self/task/*/comm')]
    # at once: other processes write to the same stream
    left = sum('gloo' in n for n in names)
    sys.stderr.write(f'gloo threads left: {left}\\n')
"""


def gloo_threads(done):
    """Numbers of gloo threads left by each process of a run with COUNT_THREADS."""
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
        done = fork([*map(str, command[1:])], str(cwd), environment)
    else:
        command = [sys.executable if c == 'python' else str(c) for c in command]
        done = subprocess.run(
            command, cwd=cwd, env=environment, text=True, capture_output=True
        )
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


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
    sizes = dict(SMALL)
    if 'patch14' in str(model.get('teacher')):
        sizes[224] = 56  # a multiple of the teacher's patch
    return [f'{key}={sizes[size]}' for key, size in found.items()]


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
