"""Runs the tools as a user does."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PHOTOS = 'configs/quickstart/own_photos.py'


def run(*command, cwd=ROOT, env=None, check=True):
    """Run a command; its first word may be 'python'."""
    command = [sys.executable if c == 'python' else str(c) for c in command]
    environment = dict(os.environ, PYTHONWARNINGS='ignore',
                       PYTHON=sys.executable, **(env or {}))
    done = subprocess.run(command, cwd=cwd, env=environment, text=True,
                          capture_output=True)
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


def one_line(code, out, err):
    """The one line that a failed tool prints."""
    lines = [line for line in err.splitlines() if line.startswith('error: ')]
    assert code == 1
    assert 'Traceback' not in out + err
    assert len(lines) == 1, err[-2000:]
    return lines[0]
