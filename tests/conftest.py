import os
import runpy
import shutil
import socket
import subprocess
import sys
from itertools import cycle

import pytest

# Read when torch is imported. A thread that waits for another would else keep
# its core, and beside a busy process tests take four times as long.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import torch  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.visualization import Visualizer  # noqa: E402

from tests.tools import ROOT, one_line  # noqa: E402

torch.set_num_threads(2)
# Below those that systems give to whoever asks for any, and apart from those
# of the other pytest processes.
FIRST = os.getpid() * 64 % 20000
PORTS = cycle([*range(10000 + FIRST, 30000), *range(10000, 10000 + FIRST)])


@pytest.fixture(autouse=True)
def scope():
    """What a test finds does not depend on those before it."""
    init_default_scope('mmpretrain')
    # a run of the same name would write into the folder of the one before
    for kind in (Visualizer, *Visualizer.__subclasses__()):
        kind._instance_dict.clear()


def pytest_collection_modifyitems(items):
    """Skip tests that need a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='needs CUDA'))


@pytest.fixture
def exact_fp32():
    """Products and convolutions of fp32 without TF32, which GPUs may use."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    yield
    for backend, allowed in zip(backends, before):
        backend.allow_tf32 = allowed


@pytest.fixture
def cxx():
    """Skips the test without a C++ compiler, which torch.compile needs."""
    name = os.environ.get('CXX', 'g++')
    works = shutil.which(name) and subprocess.run(
        [name, '--version'], capture_output=True
    )
    if not works or works.returncode:
        pytest.skip(f'no C++ compiler: {name}')


@pytest.fixture
def free_port():
    """A TCP port that nobody listens on, nor is given until the test does."""
    for port in PORTS:
        with socket.socket() as sock:
            try:
                sock.bind(('127.0.0.1', port))
            except OSError:
                continue
            return port


@pytest.fixture
def fails(monkeypatch, capsys):
    """Runs what must fail, in this process; gives its line on stderr."""

    def run_here(tool, *args):
        # its handlers write to the stream of whoever made them
        MMLogger._instance_dict.clear()
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(tool, run_name='__main__')
        return one_line(stop.value.code, *capsys.readouterr())

    return run_here
