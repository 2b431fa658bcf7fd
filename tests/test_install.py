"""The Makefile's environments, with programs that only note how they are called."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.tools import ROOT

# Of any version; its venv contains a copy of it.
PYTHON = """#!/usr/bin/env bash
if [ "$1" = -c ]; then
    exec {real} -S -c "import sys; sys.version_info = {version}; exec(sys.argv[1])" "$2"
fi
echo "{name} $*" >> "{log}"
if [[ "$*" == *venv* ]]; then
    mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python"
fi
"""
ALL = [f'-r requirements/{n}.txt' for n in ('mminstall', 'runtime')]
TESTS = [f'-r requirements/{n}.txt' for n in ('detection', 'tests')]


class Clone:
    """The files of an installation, and the programs of its machine."""

    def __init__(self, folder):
        self.folder, self.bin, self.log = folder / 'c', folder / 'bin', folder / 'log'
        self.bin.mkdir()
        for name in ('Makefile', 'setup.py', 'pyproject.toml'):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.folder)
        for name in ('requirements', 'tools/dev'):
            shutil.copytree(ROOT / name, self.folder / name)
        for name in ('bash', 'cp', 'make', 'mkdir', 'touch', 'awk'):
            (self.bin / name).symlink_to(shutil.which(name))

    def program(self, name, version=(3, 12, 0)):
        path = self.bin / name
        path.write_text(
            PYTHON.format(
                real=os.path.realpath(sys.executable),
                version=version,
                name=name,
                log=self.log,
            )
        )
        path.chmod(0o755)

    def make(self, *words, **environment):
        """Run make; return its stderr and the lines that programs noted."""
        self.log.write_text('')
        done = subprocess.run(
            [self.bin / 'make', *words],
            cwd=self.folder,
            env={'PATH': str(self.bin), **environment},
            text=True,
            capture_output=True,
        )
        self.rc = done.returncode
        return done.stderr, self.log.read_text().splitlines()


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def options(line):
    """Requirements of an installation, after its constraints."""
    return line.split('constraints.txt ')[1].replace(' -', ';-').split(';')


@pytest.mark.parametrize('uv', [False, True])
def test_all_is_installed_once(clone, uv):
    clone.program('python3')
    if uv:
        clone.program('uv')
    error, (venv, *more, install) = clone.make('venv-test')
    assert error == ''
    assert venv.startswith('uv venv' if uv else 'python3 -m venv')
    assert install.startswith('uv pip install' if uv else 'python3 -m pip install')
    assert '-c requirements/constraints.txt' in install
    assert options(install) == [*ALL, *TESTS, '-e .']
    assert not more
    for target in ('venv', 'venv-test'):
        assert clone.make(target) == ('', [])


def test_tests_add_to_what_the_tools_need(clone):
    clone.program('python3')
    _, (_, install) = clone.make('venv')
    assert options(install) == [*ALL, '-e .']
    _, (pip, install) = clone.make('venv-test')  # the package is not installed again
    assert pip == 'python3 -m pip --version'
    assert options(install) == [*ALL, *TESTS]
    assert clone.make('venv', 'venv-test') == ('', [])


@pytest.mark.parametrize(
    'name, installs',
    [
        ('requirements/tests.txt', [[*ALL, *TESTS]]),
        ('requirements/constraints.txt', [[*ALL, '-e .'], [*ALL, *TESTS]]),
        ('pyproject.toml', [[*ALL, '-e .'], [*ALL, *TESTS]]),
    ],
)
def test_a_changed_file_of_requirements_makes_it_stale(clone, name, installs):
    clone.program('python3')
    clone.make('venv-test')
    now = (clone.folder / '.venv/.test').stat().st_mtime
    for path in clone.folder.rglob('*'):
        before = now - 50 if path.name in ('.run', '.test') else now - 100
        os.utime(path, (before, before))
    os.utime(clone.folder / name, (now - 10, now - 10))
    _, lines = clone.make('venv-test')
    assert [options(line) for line in lines if 'install' in line] == installs


def test_a_venv_that_is_created_anew_gets_the_package(clone):
    """Its interpreter has gone, and a file of requirements has changed."""
    clone.program('python3')
    clone.make('venv-test')
    (clone.folder / '.venv/bin/python').write_text('exit 1')
    later = (clone.folder / '.venv/.test').stat().st_mtime + 10
    os.utime(clone.folder / 'requirements/tests.txt', (later, later))
    # a venv that is cleared has no stamps
    (clone.bin / 'python3').write_text(
        (clone.bin / 'python3')
        .read_text()
        .replace('    mkdir -p', '    : > .venv/.run && rm .venv/.run && mkdir -p')
    )
    (clone.bin / 'rm').symlink_to(shutil.which('rm'))
    _, lines = clone.make('venv-test')
    assert options(lines[-1]) == [*ALL, *TESTS, '-e .']


@pytest.mark.parametrize(
    'versions, chosen, warned',
    [
        (dict(python3=(3, 12)), 'python3', False),
        ({'python3': (3, 10), 'python3.11': (3, 11)}, 'python3.11', False),
        ({'python3': (3, 14), 'python3.13': (3, 13)}, 'python3.13', False),
        ({'python3': (3, 15), 'python3.14': (3, 14)}, 'python3.14', True),
        ({'python3': (3, 10)}, None, False),
        ({'python3': (3, 15)}, None, False),
        ({}, None, False),
    ],
)
def test_a_tested_python_is_preferred(clone, versions, chosen, warned):
    for name, version in versions.items():
        clone.program(name, version)
    error, lines = clone.make('venv')
    assert ('not tested on Python 3.14' in error) == warned
    if chosen is None:
        assert 'error: Python 3.11 to 3.14 not found: install one, or name' in error
        assert lines == [] and clone.rc
    else:
        assert lines[0] == f'{chosen} -m venv --clear .venv'


def test_a_python_that_is_named_must_fit(clone):
    clone.program('python3')
    clone.program('other', (3, 11))
    clone.program('old', (3, 9))
    error, _ = clone.make('venv', PYTHON='old')
    assert 'error: PYTHON=old is not Python 3.11 to 3.14' in error
    assert clone.make('venv', PYTHON='other')[1][0] == 'other -m venv --clear .venv'
