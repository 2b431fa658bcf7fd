"""tools/dev/gpu_check.sh, as far as it goes without a GPU."""

import importlib.util
import json
import subprocess
import sys
from argparse import Namespace

import pytest
import torch

from tests.tools import ROOT

TESTS = """
import pytest
pytestmark = pytest.mark.gpu
def test_good(): pass
def test_bad(): assert 0
def test_elsewhere(): pytest.skip('here')
"""


@pytest.fixture
def check(monkeypatch):
    path = ROOT / 'tools/dev/gpu_check.py'
    spec = importlib.util.spec_from_file_location('gpu_check', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shell(python):
    return subprocess.run(
        ['bash', ROOT / 'tools/dev/gpu_check.sh'],
        env=dict(PATH='/usr/bin:/bin', PYTHON=str(python)),
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason='it would run')
def test_without_cuda_it_is_one_line():
    done = shell(sys.executable)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout == 'gpu_check: torch finds no CUDA device, nothing is checked\n'
    done = shell('/bin/false')
    assert done.returncode == 1 and done.stderr.startswith("error: '/bin/false' has no")


def test_each_test_is_a_row(check, tmp_path, monkeypatch):
    (tmp_path / 'tests').mkdir()
    (tmp_path / 'tests/test_it.py').write_text(TESTS)
    (tmp_path / 'pytest.ini').write_text('[pytest]\nmarkers = gpu: needs CUDA\n')
    monkeypatch.chdir(tmp_path)
    rows = check.tests(tmp_path, Namespace(), 60)
    assert [(part, name, text.split(',')[0]) for part, name, text in rows] == [
        ('tests', 'test_good', 'passed'),
        ('tests', 'test_bad', 'failed'),
        ('tests', 'test_elsewhere', 'skipped'),
    ]


def test_a_part_that_fails_or_takes_too_long_does_not_stop_the_others(
    check, tmp_path, monkeypatch, capsys
):
    def late(folder, args, limit):
        check.run(['-c', 'import time; time.sleep(9)'], limit)

    def broken(folder, args, limit):
        raise RuntimeError('no memory')

    def good(folder, args, limit):
        return [('c', 'it', '3 images/s')]

    out = tmp_path / 'check.json'
    monkeypatch.setattr(
        check, 'PARTS', [('a', late, 0.5), ('b', broken, 0.5), ('c', good, 0.5)]
    )
    monkeypatch.setattr(sys, 'argv', ['x', '--out', str(out), '--seconds', '1'])
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'a GPU')
    monkeypatch.setattr(
        torch.cuda,
        'get_device_properties',
        lambda _: Namespace(total_memory=80 * 2**30),
    )
    with pytest.raises(SystemExit) as stop:
        check.main()
    assert stop.value.code == 1
    content = json.loads(out.read_text())
    assert [row['result'] for row in content['rows']] == [
        'failed: not done in 0 s',
        'failed: no memory',
        '3 images/s',
    ]
    assert content['gpu'] == 'a GPU' and content['memory_mib'] == 80 * 1024
    assert '1 of 3 passed' in capsys.readouterr().out


def test_steps_are_rows(check, tmp_path, monkeypatch):
    args = Namespace(batch_size=2)

    def measured(words, limit):
        path = words[words.index('--json') + 1]
        row = dict(seconds=0.5, peak_memory_mib=100.0)
        open(path, 'w').write(json.dumps(dict(plain=row, batch_size=2)))
        return subprocess.CompletedProcess(words, 0, '', '')

    monkeypatch.setattr(check, 'run', measured)
    assert check.steps(tmp_path, args, 10) == [
        ('step', 'plain', '500.0 ms, 4 images/s, peak 100 MiB')
    ]
