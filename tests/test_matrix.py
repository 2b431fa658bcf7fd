"""Rows of make matrix."""

import csv
import importlib.util
import sys

import pytest

from tests.tools import ROOT


@pytest.fixture(scope='module')
def matrix():
    path = ROOT / 'tools/dev/matrix.py'
    spec = importlib.util.spec_from_file_location('matrix', path)
    sys.modules['matrix'] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules['matrix']


def test_the_oldest_versions_are_those_of_the_requirements(matrix):
    pins = dict(pin.split('==') for pin in matrix.lowest())
    assert {'torch', 'torchvision', 'numpy', 'timm', 'onedl-mmcv'} < set(pins)
    text = ''.join(p.read_text() for p in (ROOT / 'requirements').glob('*.txt'))
    for name, version in pins.items():
        assert f'{name}>={version}' in text


def test_an_interpreter_has_the_version_that_was_asked_for(matrix):
    here = '{}.{}'.format(*sys.version_info)
    assert matrix.find_python(['3.99', here]) == sys.executable
    assert matrix.find_python(['3.99']) is None


def test_a_result_replaces_the_earlier_one_of_its_row(matrix, tmp_path):
    path = tmp_path / 'versions.csv'
    for row, result in (('newest', 'failed'), ('oldest', 'passed'), ('newest', 'ok')):
        matrix.save(path, [dict(row=row, result=result)])
    with path.open(newline='') as file:
        rows = [(row['row'], row['result']) for row in csv.DictReader(file)]
    assert rows == [('oldest', 'passed'), ('newest', 'ok')]


@pytest.mark.parametrize(
    'output, line',
    [
        ('....\n== 2 failed, 7 passed in 3.2s (0:00:03) ==\n', '2 failed, 7 passed'),
        ('7 passed, 1 skipped in 61.50s\nNot imported', '7 passed, 1 skipped'),
        ('Traceback\nerror: no file', 'error: no file'),
        ('', 'no output'),
    ],
)
def test_the_last_line_is_that_of_pytest_without_its_time(matrix, output, line):
    assert matrix.last_line(output) == line


def test_the_table_is_of_rows_that_exist(matrix):
    with (ROOT / 'benchmarks/versions.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert {row['row'] for row in rows} <= set(matrix.ROWS)
    assert all(tuple(row) == matrix.COLUMNS for row in rows)
