import os
import runpy
import socket
import sys

import pytest

# Read when torch is imported. A thread that waits for another would else keep
# its core, and beside a busy process tests take four times as long.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import torch  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402

from tests.tools import ROOT, one_line  # noqa: E402

torch.set_num_threads(2)


@pytest.fixture
def free_port():
    """A TCP port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


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
