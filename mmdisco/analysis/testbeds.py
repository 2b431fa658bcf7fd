"""Rows, statistics and table of the student alone and with DisCo."""

import csv
import io
from pathlib import Path
from statistics import mean, stdev
from typing import Dict, List, Sequence

from .summary import paired

COLUMNS = (
    'method',
    'distill',
    'seed',
    'knn',
    'linear',
    'seconds',
    'command',
    'commit',
    'machine',
)
ARMS = ('none', 'DisCo')
METRICS = dict(linear='linear probe', knn='kNN')


def best_rate(scores: Dict[float, float]) -> float:
    """The learning rate with the best held-out score, the lowest if alike.

    Args:
        scores (dict): Linear probe of held-out training images, by rate.
    """
    return max(sorted(scores), key=scores.get)


def csv_text(rows: Sequence[dict], columns: Sequence[str] = COLUMNS) -> str:
    """The rows as a CSV file's content.

    Args:
        rows (Sequence[dict]): Which may have more than the columns.
        columns (Sequence[str]): Of the file.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator='\n', extrasaction='ignore')
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def replace(path: Path, text: str) -> None:
    """Write a whole file or none."""
    half = path.with_name(f'{path.name}.half')
    half.write_text(text)
    half.replace(path)


def statistics(rows: Sequence[dict]) -> Dict[str, dict]:
    """Mean and deviation of both arms, and their paired differences.

    Args:
        rows (Sequence[dict]): Of which a method's count once both arms have
            the same seeds.

    Returns:
        dict: By method and metric: ``mean`` and ``std`` by arm, ``gain`` of
        :func:`paired`.
    """
    found: Dict[str, dict] = {}
    for method in dict.fromkeys(row['method'] for row in rows):
        arms = {
            arm: sorted(
                (r for r in rows if r['method'] == method and r['distill'] == arm),
                key=lambda r: r['seed'],
            )
            for arm in ARMS
        }
        seeds = [[r['seed'] for r in arms[arm]] for arm in ARMS]
        if not seeds[0] or seeds[0] != seeds[1]:
            continue
        for metric in METRICS:
            values = {arm: [r[metric] for r in arms[arm]] for arm in ARMS}
            found.setdefault(method, {})[metric] = dict(
                mean={a: mean(v) for a, v in values.items()},
                std={a: stdev(v) if len(v) > 1 else None for a, v in values.items()},
                gain=paired(values['DisCo'], values['none']),
            )
    return found


def _with(value: float, spread, sign: str = '') -> str:
    text = f'{value:{sign}.2f}'
    return text if spread is None else f'{text} ± {spread:.2f}'


def without_gain(found: Dict[str, dict]) -> List[str]:
    """Methods on which DisCo's linear probe is not better by two standard
    errors."""
    gains = {m: s['linear']['gain'] for m, s in found.items()}
    return [m for m, g in gains.items() if g['mean'] <= 2 * (g['standard_error'] or 0)]


def markdown(
    rows: Sequence[dict], grids: Dict[str, Dict[float, float]], conditions: str
) -> str:
    """The table as a document.

    Args:
        rows (Sequence[dict]): All runs.
        grids (dict): Held-out scores by learning rate, by '<method> <arm>'.
        conditions (str): What is the same in both arms, and how it was run.
    """
    found = statistics(rows)
    lines = [
        '# The student alone and with DisCo, on five methods',
        '',
        conditions,
        '',
        '| method | metric | alone | with DisCo | paired difference |',
        '|---|---|---|---|---|',
    ]
    for method, metrics in found.items():
        for metric, name in METRICS.items():
            s = metrics[metric]
            cells = [_with(s['mean'][arm], s['std'][arm]) for arm in ARMS]
            gain = _with(s['gain']['mean'], s['gain']['standard_error'], '+')
            lines.append(f'| {method} | {name} | {" | ".join(cells)} | {gain} |')
    weak = without_gain(found)
    lines += [
        '',
        'Mean ± standard deviation over the seeds; paired '
        'differences ± standard error. Methods are not compared with '
        "each other: heads, crops and rates are each one's own.",
        '',
        f'DisCo does not help the linear probe by two standard errors '
        f'on: {", ".join(weak)}.'
        if weak
        else 'DisCo helps the linear probe on each by more than two standard errors.',
        '',
        '## Learning rates',
        '',
        'Linear probe of held-out training images, one seed; the best '
        'of each row is taken.',
        '',
    ]
    for name, scores in grids.items():
        cells = [
            f'**{lr:g}: {v:.2f}**' if lr == best_rate(scores) else f'{lr:g}: {v:.2f}'
            for lr, v in sorted(scores.items())
        ]
        lines.append(f'- {name}: {", ".join(cells)}')
    commits, commands, machines = (
        ', '.join(dict.fromkeys(row[key] for row in rows))
        for key in ('commit', 'command', 'machine')
    )
    return '\n'.join(
        [*lines, '', f'`{commands}` at commit {commits}, on {machines}.', '']
    )
