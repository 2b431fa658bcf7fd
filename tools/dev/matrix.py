"""Test the wheel in new environments, from the oldest to the newest versions.

    python tools/dev/matrix.py oldest newest

The wheel is built from the sdist. In a temporary folder per row, which is removed,
it is installed with its extras, used away from the clone (tools/dev/check_wheel.py),
and a part of the tests runs, or with --all the whole suite. Rows whose Python is
not on this machine are left out. A row needs up to 6 GB and, with the part of the
tests, 10 to 20 minutes on two cores. Installs with uv where it is on PATH, else with
pip.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / 'requirements/constraints.txt'
PYTHONS = ('3.14', '3.13', '3.12', '3.11')  # newest first
TESTS = ('tests/models', 'tests/checkpoints', 'tests/deploy', 'tests/detection')
PACKAGES = dict(
    torch=('torch',),
    torchvision=('torchvision',),
    numpy=('numpy',),
    timm=('timm',),
    mmengine=('onedl-mmengine', 'mmengine'),
    mmcv=('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    mmpretrain=('onedl-mmpretrain', 'mmpretrain'),
    mmdet=('onedl-mmdetection', 'mmdet'),
)
COLUMNS = ('row', 'python', *PACKAGES, 'wheel', 'tests', 'result', 'date', 'command')
UV = os.environ.get('UV', shutil.which('uv'))  # '' for pip
LOG = ROOT / 'work_dirs/matrix.log'
# names by which pip, pip before 25.3 and uv read a file of constraints on builds
BUILD_CONSTRAINTS = ('PIP_BUILD_CONSTRAINT', 'PIP_CONSTRAINT', 'UV_BUILD_CONSTRAINT')


@dataclass(frozen=True)
class Row:
    """One environment.

    Args:
        pythons (Sequence[str]): Versions of Python; the first on this machine is used.
        extras (str): Of the wheel. Defaults to those of the onedl forks.
        pins (Sequence[str]): More requirements. Defaults to none.
        constrained (bool): Install under requirements/constraints.txt. Defaults to
            True.
        detection (bool): Test detection, too. Defaults to True.
        old_builds (bool): Build sdists with the constraints' setuptools; OpenMMLab's
            need one before 82. Defaults to False.
    """

    pythons: Sequence[str]
    extras: str = 'mminstall,detection,tests'
    pins: Sequence[str] = ()
    constrained: bool = True
    detection: bool = True
    old_builds: bool = False


def lowest() -> list[str]:
    """Return the lowest version of each requirement that has one, as a pin."""
    pins = {}
    for name in ('runtime', 'mminstall', 'detection', 'tests'):
        text = (ROOT / f'requirements/{name}.txt').read_text()
        pins.update(re.findall(r'^([\w-]+)>=([\w.]+)', text, re.M))
    del pins['setuptools']  # which only builds the package
    return [f'{name}=={version}' for name, version in pins.items()]


OPENMMLAB = ('mmengine==0.10.7', 'mmpretrain==1.2.0')
ROWS = {
    'oldest': Row(['3.11'], pins=lowest(), constrained=False),
    'pinned-3.11': Row(['3.11']),
    'pinned-3.12': Row(['3.12']),
    'pinned-3.13': Row(['3.13']),
    'newest': Row(PYTHONS, constrained=False),
    'openmmlab': Row(
        ['3.11'],
        extras='tests',
        pins=[*OPENMMLAB, 'mmcv==2.1.0', 'mmdet==3.3.0'],
        old_builds=True,
    ),
    'openmmlab-mmcv-2.2': Row(
        ['3.11'],
        extras='tests',
        pins=[*OPENMMLAB, 'mmcv==2.2.0'],
        detection=False,
        old_builds=True,
    ),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'rows', nargs='*', metavar='ROW', help=f'default: {" ".join(ROWS)}'
    )
    parser.add_argument(
        '--all', action='store_true', help='run the whole suite instead of a part'
    )
    parser.add_argument(
        '--processes', type=int, default=2, help='of the tests; default: 2'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=ROOT / 'benchmarks/versions.csv',
        help='CSV file of which the tested rows are replaced; default: '
        'benchmarks/versions.csv',
    )
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f'unknown rows: {", ".join(sorted(unknown))}')
    return args


def find_python(versions: Sequence[str]) -> str | None:
    """Return the interpreter of the first version that is on this machine."""
    for version in versions:
        shared = sorted(Path.home().glob(f'.pyenv/versions/{version}.*/bin/python'))
        for path in (sys.executable, shutil.which(f'python{version}'), *shared):
            code = 'import sys; print("%d.%d" % sys.version_info[:2])'
            if path is None:
                continue
            done = subprocess.run([path, '-c', code], text=True, capture_output=True)
            if done.returncode == 0 and done.stdout.strip() == version:
                return str(path)
    return None


def call(words: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    """Run a command, append its output to a log in the folder, and return it.

    Raises:
        CalledProcessError: If the command fails.
    """
    words = list(map(str, words))
    done = subprocess.run(
        words,
        cwd=cwd,
        env={
            **{key: value for key, value in os.environ.items() if key != 'PYTHONPATH'},
            **environment,
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with LOG.open('a') as file:
        file.write(f'$ {" ".join(words)}\n{done.stdout}\n')
    done.check_returncode()
    return done.stdout


def environment(python: str, folder: Path) -> list[str | Path]:
    """Create a virtual environment; return the words that install into it."""
    if UV:
        call([UV, 'venv', '-q', '--seed', '--python', python, folder], ROOT)
        return [UV, 'pip', 'install', '--python', folder / 'bin/python', '-q']
    call([python, '-m', 'venv', folder], ROOT)
    return [folder / 'bin/python', '-m', 'pip', 'install', '-q', '--no-compile']


def copy_clone(folder: Path) -> None:
    """Copy what git tracks or would, so that nothing is written into the clone."""
    words = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=True)
    for name in filter(None, listed.stdout.split('\0')):
        if (ROOT / name).is_file():  # it may be deleted and not committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def build(folder: Path) -> Path:
    """Build the sdist, and the wheel from it; return the wheel."""
    python = find_python(PYTHONS)
    call([*environment(python, folder / 'builder'), 'build'], ROOT)
    words = [folder / 'builder/bin/python', '-m', 'build', '-o', folder / 'dist']
    call([*words, folder / 'clone'], folder)
    return next((folder / 'dist').glob('*.whl'))


def versions_in(python: Path) -> dict[str, str]:
    """Return the versions of an environment's Python and packages."""
    code = (
        'import json, platform; from importlib.metadata import distributions; '
        "print(json.dumps({d.metadata['name'].lower(): d.version "
        "for d in distributions()} | {'python': platform.python_version()}))"
    )
    # the last line: libraries may warn before it
    versions = json.loads(call([python, '-c', code], ROOT).splitlines()[-1])
    named = {
        name: next((f'{d} {versions[d]}' for d in known if d in versions), '')
        for name, known in PACKAGES.items()
    }
    short = {name: text.removeprefix(f'{name} ') for name, text in named.items()}
    return {'python': versions['python'], **short}


def test(row: Row, python: str, folder: Path, wheel: Path, args) -> dict[str, str]:
    """Install the wheel as a row says and test it; return its columns."""
    env, clone = folder / 'env', folder / 'clone'
    files = {} if not row.old_builds else dict.fromkeys(BUILD_CONSTRAINTS, CONSTRAINTS)
    result = dict(python=python, wheel='', tests='', result='failed')
    words = [*environment(python, env), f'{wheel}[{row.extras}]', *row.pins]
    if row.constrained:
        words += ['-c', CONSTRAINTS]
    try:
        call(words, folder, **{name: str(path) for name, path in files.items()})
    except subprocess.CalledProcessError as error:
        return {**result, 'wheel': f'not installed: {last_line(error.output)}'}
    result.update(versions_in(env / 'bin/python'))
    try:
        check = [env / 'bin/python', clone / 'tools/dev/check_wheel.py']
        call([*check, '--detection' if row.detection else '--no-detection'], folder)
        result['wheel'] = 'passed'
    except subprocess.CalledProcessError as error:
        result['wheel'] = f'failed: {last_line(error.output)}'
    paths = (
        ['tests']
        if args.all
        else [p for p in TESTS if row.detection or p != 'tests/detection']
    )
    words = [env / 'bin/python', '-m', 'pytest', '-q', '-n', str(args.processes)]
    words += ['--maxprocesses', str(args.processes), *paths]
    try:
        result['tests'] = last_line(call(words, clone))
        passed = result['wheel'] == 'passed'
        result['result'] = 'passed' if passed else 'failed'
    except subprocess.CalledProcessError as error:
        result['tests'] = last_line(error.output)
    return result


def last_line(text: str) -> str:
    """Return pytest's counts without its seconds, or else the last line."""
    lines = text.strip().splitlines() or ['no output']
    counts = (
        line for line in reversed(lines) if re.search(r'\d (passed|failed)', line)
    )
    return re.sub(r' in [\d.]+s.*', '', next(counts, lines[-1]).strip('= '))


def save(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write rows into a CSV file, in place of those of the same names."""
    old = []
    if path.is_file():
        with path.open(newline='') as file:
            old = list(csv.DictReader(file))
    new = {row['row']: row for row in [*old, *rows]}
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        names = dict.fromkeys([*ROWS, *new])  # in this order
        writer.writerows(new[name] for name in names if name in new)


def main() -> None:
    args = parse_args()
    failed = False
    LOG.parent.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    with TemporaryDirectory(prefix='mmdisco-matrix-') as name:
        folder = Path(name)
        copy_clone(folder / 'clone')
        wheel = build(folder)
        for name in args.rows or ROWS:
            row, start = ROWS[name], time.monotonic()
            python = find_python(row.pythons)
            if python is None:
                print(f'{name}: no Python {" or ".join(row.pythons)} here', flush=True)
                continue
            result = dict(
                row=name,
                **test(row, python, folder, wheel, args),
                date=str(date.today()),
                command=' '.join(
                    ['make matrix', f'ROWS="{name}{" --all" * args.all}"']
                ),
            )
            shutil.rmtree(folder / 'env')
            save(args.out, [result])
            failed |= result['result'] == 'failed'
            seconds = time.monotonic() - start
            known = ', '.join(f'{k} {result.get(k)}' for k in ('python', *PACKAGES))
            print(
                f'{name}: {known}: wheel {result["wheel"]}; {result["tests"]}; '
                f'{seconds:.0f} s',
                flush=True,
            )
    print(f'the output of the commands is in {LOG}')
    sys.exit(failed)


if __name__ == '__main__':
    main()
