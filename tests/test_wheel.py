"""The wheel works away from the clone."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from modelindex.load_model_index import load

from mmdisco.zoo import list_models
from tests.tools import ROOT, losses


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """Folder of a wheel that was built and installed, beside nothing else."""
    folder = tmp_path_factory.mktemp('wheel')
    clone = folder / 'clone'  # another worker may build at the same time
    for name in ('mmdisco', 'configs', 'demo', 'requirements', 'tools'):
        shutil.copytree(ROOT / name, clone / name)
    for pattern in ('*.md', '*.py', '*.toml', '*.yml', 'LICENSE', 'MANIFEST.in'):
        for path in ROOT.glob(pattern):
            shutil.copy(path, clone)
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    for command in (
        ['wheel', '--no-build-isolation', '-w', folder, clone],
        ['install', '--target', folder / 'site', '--find-links', folder, 'mmdisco'],
    ):
        command[1:1] = ['-q', '--no-deps', '--no-index']
        subprocess.run([*pip, *command], check=True)
    return folder / 'site'


def python(installed, folder, *words):
    """Run Python in a folder, with the wheel's package."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={
            **os.environ,
            'PYTHONPATH': str(installed),
            'PYTHONWARNINGS': 'ignore',
            'OMP_NUM_THREADS': '1',
        },
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_it_holds_what_is_needed_and_no_experiments(installed):
    mim = installed / 'mmdisco/.mim'
    index = load(str(mim / 'model-index.yml'))
    assert sorted(model.name for model in index.models) == list_models()
    for model in index.models:
        assert (mim / model.config).is_file()
        assert (
            model.weights is None
            or '://' in model.weights
            or (mim / model.weights).is_file()
        )
    assert (installed / 'mmdisco/py.typed').is_file()
    assert not (installed / 'mmdisco/experiments').exists()
    tools, clone = (
        {path.relative_to(root) for path in (root / 'tools').rglob('*.[ps][yh]')}
        for root in (mim, ROOT)
    )
    assert tools <= clone
    # those that are left out need a clone, all others are there
    for tool in clone - tools:
        text = (ROOT / tool).read_bytes()
        assert b'mmdisco.experiments' in text or tool.parts[1] in ('benchmarks', 'dev')
    package = list((installed / 'mmdisco').rglob('*.py'))
    assert len(package) > 100
    assert [p for p in package if 'mmdisco.experiments' in p.read_text()] == []


BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""


def test_a_wheel_of_the_sdist_equals_that_of_the_clone(installed, tmp_path):
    def build(kind, folder):
        words = [sys.executable, '-W', 'ignore', '-c', BUILD, kind, tmp_path]
        done = subprocess.run(
            words, cwd=folder, check=True, text=True, capture_output=True
        )
        return tmp_path / done.stdout.split('\n')[-2]

    def contents(wheel):
        with zipfile.ZipFile(wheel) as file:
            return {info.filename: info.CRC for info in file.infolist()}

    clone = installed.parent / 'clone'
    # a build lists its files there, and the next one would take them from it
    shutil.rmtree(clone / 'mmdisco.egg-info', ignore_errors=True)
    with tarfile.open(build('build_sdist', clone)) as file:
        file.extractall(tmp_path, filter='data')
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (wheel,) = installed.parent.glob('*.whl')
    assert contents(build('build_wheel', source)) == contents(wheel)


START = """
import runpy, sys
from multiprocessing import get_context
from pathlib import Path
import mmdisco

mim = Path(mmdisco.__file__).parent / '.mim'
print('at', mim)


def run(*words):
    sys.argv = [*map(str, words)]
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as stop:
        assert stop.code in (0, None), words


for tool in sorted(mim.rglob('tools/**/*.py')):
    run(tool, '--help')
    print('started', tool.name)
for name in ('disco', 'detection/mask-rcnn_c4'):
    config = mim / f'configs/quickstart/{name}.py'
    options = '--smoke', '--work-dir', name.replace('/', '_')
    smoke = get_context('fork').Process(
        target=run, args=(mim / 'tools/train.py', config, *options)
    )
    smoke.start()
    smoke.join()
    assert smoke.exitcode == 0, name
    print('trained', name)
"""


def test_its_tools_start_and_smoke_runs_find_their_images(installed, tmp_path):
    """One process imports the package, away from the clone."""
    (tmp_path / 'start.py').write_text(START)
    done = python(installed, tmp_path, 'start.py')
    assert f'at {installed}/mmdisco/.mim' in done.stdout
    tools = [*(installed / 'mmdisco/.mim/tools').rglob('*.py')]
    assert len(tools) > 15
    assert done.stdout.count('\nstarted ') == len(tools)
    assert 'trained disco' in done.stdout
    assert 'trained detection/mask-rcnn_c4' in done.stdout
    assert len(losses(done)) == 8


@pytest.mark.slow
def test_a_student_is_trained_converted_evaluated_and_exported(installed, tmp_path):
    """Each tool is a process of its own, as in ``make matrix``."""
    done = python(installed, tmp_path, ROOT / 'tools/dev/check_wheel.py')
    assert [line.split(':')[0] for line in done.stdout.splitlines()] == [
        'pre-training',
        'extraction',
        'kNN',
        'linear probe',
        'conversion',
        'export',
        'detection',
    ]
