"""The table of benchmarks/evaluation.md, from its rows."""

from pathlib import Path
from statistics import mean, stdev
from typing import Dict, List, Sequence

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
    cells: Dict[str, Dict[str, List[dict]]] = {}
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
