import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median, stdev

import mmengine
import mmpretrain
import torch

from mmdisco.utils import available_cores
from .figures import draw_summary
from .jobs import Job

LABELS = dict(
    teacher='teacher, MoCo-v2',
    mocov2='student, MoCo-v2 alone',
    mocov2_teachers_images="student, MoCo-v2 on the teacher's images",
    disco='student, DisCo',
    distill_only='student, L_dis alone (λ = 0)',
    disco_untrained_teacher='student, DisCo, untrained teacher',
    untrained_student='student, untrained',
    untrained_teacher='teacher, untrained',
)
PACKAGES = ('torch', 'torchvision', 'numpy', 'scikit-learn', 'kornia')


def provenance() -> dict:
    """Where a figure comes from: commit, versions, machine."""
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


def paired(first: Sequence[float], second: Sequence[float]) -> dict:
    """Differences of two rows over the same seeds, with their error.

    Args:
        first (Sequence[float]): One value a seed.
        second (Sequence[float]): What is subtracted, in the same order.

    Returns:
        dict: ``differences``, ``mean``, and ``standard_error`` of the mean
        (None for one seed).
    """
    differences = [round(a - b, 2) for a, b in zip(first, second)]
    error = (
        stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None
    )
    return dict(differences=differences, mean=mean(differences), standard_error=error)


def summarise(results: dict[str, list[dict]], seeds: int) -> dict:
    """Medians over the seeds, every seed, and where the figures come from.

    Args:
        results (dict): Scores of each kind, a list over the seeds.
        seeds (int): Number of seeds.

    Returns:
        dict: What ``summary.json`` holds.
    """
    rows = {
        kind: dict(
            {
                key: round(median(run[key] for run in runs), 2)
                for key in ('knn', 'linear', 'seconds')
            },
            params=runs[0]['params'],
        )
        for kind, runs in results.items()
    }
    gain = {
        key: paired(
            [run[key] for run in results['disco']],
            [run[key] for run in results['mocov2']],
        )
        for key in ('knn', 'linear')
    }
    return dict(
        **rows,
        disco_minus_mocov2=gain,
        runs=results,
        seeds=list(range(seeds)),
        **provenance(),
    )


def table(summary: dict) -> str:
    """The rows as text."""
    head = ('', 'params', 'kNN %', 'linear probe %', 'seconds')
    lines = [head]
    for kind in (kind for kind in LABELS if kind in summary):
        row, label = summary[kind], LABELS[kind]
        lines.append(
            (
                label,
                f'{row["params"]:,}',
                f'{row["knn"]:.2f}',
                f'{row["linear"]:.2f}',
                f'{row["seconds"]:.0f}',
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = '\n'.join(
        f'{line[0]:<{widths[0]}}'
        + ''.join(f'  {cell:>{width}}' for cell, width in zip(line[1:], widths[1:]))
        for line in lines
    )
    gain = summary['disco_minus_mocov2']['linear']
    text += (
        f'\n\nDisCo - MoCo-v2, linear probe, by seed: '
        f'{", ".join(f"{d:+.2f}" for d in gain["differences"])}; '
        f'mean {gain["mean"]:+.2f}'
    )
    if gain['standard_error'] is not None:
        text += f' ± {gain["standard_error"]:.2f} (standard error)'
    return text


def write_summary(summary: dict, jobs: Sequence[Job], work_dir: Path) -> None:
    """Print the table; write ``summary.json`` and ``summary.png``.

    Args:
        summary (dict): Of :func:`summarise`.
        jobs (Sequence[Job]): The runs, for their curves.
        work_dir (Path): Where to write.
    """
    path = work_dir / 'summary.json'
    half = work_dir / 'summary.json.half'
    half.write_text(json.dumps(summary, indent=2))
    half.replace(path)
    draw_summary(
        summary, {job.name: job.log() for job in jobs}, LABELS, work_dir / 'summary.png'
    )
    print(f'\n{table(summary)}\n\n{path}\n{work_dir / "summary.png"}')


COLUMNS = (
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


def write_markdown(rows: Sequence[dict], path: Path) -> None:
    """Write mean and deviation over the seeds, a student a column.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`.
        path (Path): File to write.
    """
    cells: dict[str, dict[str, list[dict]]] = {}
    students = list(dict.fromkeys(row['student'] for row in rows))
    for row in rows:
        cells.setdefault(row['protocol'], {}).setdefault(row['student'], []).append(row)
    lines = [
        '# Students of the quickstart under every protocol',
        '',
        'Measured here, per cent, mean ± standard deviation over the '
        'seeds of the students; the seconds are the median of one '
        "student's, features extracted before. How it was made is in the "
        'CSV file.',
        '',
        f'| protocol | {" | ".join(students)} | seconds |',
        '|---' * (len(students) + 2) + '|',
    ]
    for protocol, found in cells.items():
        seconds = sorted(float(row['seconds']) for of in found.values() for row in of)
        lines.append(
            '| '
            + ' | '.join(
                [
                    protocol,
                    *(_cell(found.get(student, ())) for student in students),
                    f'{seconds[len(seconds) // 2]:.1f}',
                ]
            )
            + ' |'
        )
    told = sorted({(row['command'], row['commit'], row['machine']) for row in rows})
    lines += [
        '',
        *(
            f'`{command}`, commit {commit}, {machine}'
            for command, commit, machine in told
        ),
    ]
    path.write_text('\n'.join(lines) + '\n')


def _cell(rows: Sequence[dict]) -> str:
    scores = [float(row['score']) for row in rows]
    if not scores:
        return ''
    spread = f' ± {stdev(scores):.2f}' if len(scores) > 1 else ''
    return f'{mean(scores):.2f}{spread}'
