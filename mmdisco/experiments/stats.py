"""Statistics over seeds, tables and the provenance of measured numbers."""

import csv
import io
import json
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median_high, stdev

import mmengine
import mmpretrain
import torch

from mmdisco.utils import atomic_write, available_cores

PACKAGES = ('torch', 'torchvision', 'numpy', 'scikit-learn', 'kornia')
EVALUATION_COLUMNS = (
    'student',
    'seed',
    'protocol',
    'score',
    'seconds',
    'sha256',
    'command',
    'commit',
    'machine',
)


def provenance() -> dict:
    """Commit, versions and machine of what is measured now.

    Returns:
        dict: ``commit``, ``versions`` of the packages, and ``machine``.
    """
    try:
        commit = subprocess.run(
            ['git', 'describe', '--always', '--dirty'], capture_output=True, text=True
        ).stdout.strip()
    except OSError:  # no git here
        commit = ''
    cpu = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.is_file():
        cpu = next(
            (
                line.split(':')[1].strip()
                for line in info.read_text().splitlines()
                if line.startswith('model name')
            ),
            cpu,
        )
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return dict(
        commit=commit or 'unknown',
        versions=dict(
            python=platform.python_version(),
            mmengine=mmengine.__version__,
            mmpretrain=mmpretrain.__version__,
            **{name: version(name) for name in PACKAGES},
        ),
        machine=dict(
            cpu=cpu, cores=available_cores(), gpus=gpus, system=platform.system()
        ),
    )


def row_source() -> dict[str, str]:
    """The columns ``commit`` and ``machine`` of what is measured now."""
    origin = provenance()
    machine = origin['machine']
    return dict(
        commit=origin['commit'],
        machine=f'{machine["cores"]} cores of an {machine["cpu"]}',
    )


def write_json(path: str | Path, content: dict) -> None:
    """Write measured values with their provenance.

    Args:
        path (str or Path): The file; its folder is created.
        content (dict): The values, by name.
    """
    with atomic_write(path) as half:
        half.write_text(json.dumps({**content, **provenance()}, indent=2))


def csv_text(rows: Iterable[dict], columns: Sequence[str]) -> str:
    """Content of a CSV file.

    Args:
        rows (Iterable[dict]): Rows; values that are not in a column are left out.
        columns (Sequence[str]): Columns of the file, in order.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator='\n', extrasaction='ignore')
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all."""
    with atomic_write(path) as half:
        half.write_text(text)


def paired(first: Sequence[float], second: Sequence[float]) -> dict:
    """Differences of two methods over the same seeds, with their error.

    Args:
        first (Sequence[float]): One value per seed.
        second (Sequence[float]): Subtracted, in the same order.

    Returns:
        dict: ``differences``, ``mean``, and ``standard_error`` of the mean
        (None for one seed).
    """
    differences = [round(a - b, 2) for a, b in zip(first, second)]
    error = (
        stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None
    )
    return dict(differences=differences, mean=mean(differences), standard_error=error)


def plus_minus(value: float, spread: float | None, sign: str = '') -> str:
    """A value and its spread as text, '1.00 ± 0.10'.

    Args:
        value (float): The value.
        spread (float, optional): Its deviation or error, if known.
        sign (str): '+' to write the sign of positive values. Defaults to ''.
    """
    text = f'{value:{sign}.2f}'
    return text if spread is None else f'{text} ± {spread:.2f}'


def mean_std(values: Sequence[float], sign: str = '') -> str:
    """Mean and standard deviation as text, '' if there are no values.

    Args:
        values (Sequence[float]): One value per seed.
        sign (str): As in :func:`plus_minus`. Defaults to ''.
    """
    if not values:
        return ''
    return plus_minus(mean(values), stdev(values) if len(values) > 1 else None, sign)


def by_seed(rows: Iterable[dict], **wanted: str) -> dict[int, dict]:
    """The rows with these values, by seed, in order.

    Args:
        rows (Iterable[dict]): All rows.
        wanted: What a row must have, by column.
    """
    kept = [row for row in rows if all(row[k] == v for k, v in wanted.items())]
    return {row['seed']: row for row in sorted(kept, key=lambda row: row['seed'])}


def read_rows(path: Path) -> list[dict]:
    """Read the rows of a CSV file that :func:`csv_text` wrote.

    Args:
        path (Path): The file.

    Returns:
        list[dict]: One dict per row. Numbers are numbers; an empty cell is None.
    """
    with path.open(newline='') as file:
        return [{k: _value(k, v) for k, v in r.items()} for r in csv.DictReader(file)]


def _value(column: str, text: str) -> str | int | float | None:
    if column == 'seed':
        return int(text)
    if column in ('knn', 'linear', 'seconds', 'peak_memory_mib'):
        return float(text) if text else None
    return text


def origin_line(rows: Sequence[dict]) -> str:
    """Commands, commits and machines of the rows as one sentence."""
    commits, commands, machines = (
        ', '.join(dict.fromkeys(row[key] for row in rows))
        for key in ('commit', 'command', 'machine')
    )
    return f'`{commands}` at commit {commits}, on {machines}.'


def evaluation_report(rows: Sequence[dict]) -> str:
    """Mean and deviation over the seeds, one column per student, as Markdown.

    Args:
        rows (Sequence[dict]): With :data:`EVALUATION_COLUMNS`.
    """
    cells: dict[str, dict[str, list[dict]]] = {}
    students = list(dict.fromkeys(row['student'] for row in rows))
    for row in rows:
        cells.setdefault(row['protocol'], {}).setdefault(row['student'], []).append(row)
    lines = [
        '# Students under each protocol',
        '',
        'Per cent, mean ± standard deviation over the seeds; median seconds of a '
        'student, without the extraction of its features.',
        '',
        f'| protocol | {" | ".join(students)} | seconds |',
        '|---' * (len(students) + 2) + '|',
    ]
    for protocol, of in cells.items():
        scores = [
            mean_std([float(row['score']) for row in of.get(student, ())])
            for student in students
        ]
        seconds = median_high(float(r['seconds']) for rs in of.values() for r in rs)
        lines.append(f'| {" | ".join([protocol, *scores, f"{seconds:.1f}"])} |')
    sources = sorted({(r['command'], r['commit'], r['machine']) for r in rows})
    lines += [
        '',
        *(
            f'`{command}`, commit {commit}, {machine}'
            for command, commit, machine in sources
        ),
    ]
    return '\n'.join(lines) + '\n'
