"""Statistics, table and figure of what DisCo is compared with."""

from pathlib import Path
from statistics import mean, median, stdev
from typing import Dict, List, Sequence

from .comparators import BASELINE
from .figure import COLOURS, INK, plt
from .summary import paired

COLUMNS = (
    'method',
    'distill',
    'seed',
    'knn',
    'linear',
    'seconds',
    'peak_memory_mib',
    'command',
    'commit',
    'machine',
)


def statistics(rows: Sequence[dict]) -> Dict[str, dict]:
    """Mean and deviation of each method, and what it gains over MoCo-v2.

    Args:
        rows (Sequence[dict]): One a method and seed; ``knn``, ``seconds`` and
            ``peak_memory_mib`` may be None.

    Returns:
        dict: By method ``linear`` and ``knn``, each with ``mean``, ``std``
        and ``gain`` of :func:`paired` (None where there are no values),
        ``seconds`` and ``memory``, medians over the seeds.
    """
    found: Dict[str, dict] = {}
    base = by_seed(rows, BASELINE)
    for method in dict.fromkeys(row['method'] for row in rows):
        own = by_seed(rows, method)
        found[method] = {
            name: median(r[key] for r in own.values())
            if all(r[key] for r in own.values())
            else None
            for name, key in (('seconds', 'seconds'), ('memory', 'peak_memory_mib'))
        }
        for metric in ('linear', 'knn'):
            scores = [r[metric] for r in own.values()]
            found[method][metric] = (
                None
                if scores[0] is None
                else dict(
                    mean=mean(scores),
                    std=stdev(scores) if len(scores) > 1 else None,
                    gain=paired(scores, [r[metric] for r in base.values()])
                    if own.keys() == base.keys()
                    else None,
                )
            )
    return found


def by_seed(rows: Sequence[dict], method: str) -> Dict[int, dict]:
    """The rows of a method by seed, in order."""
    return {
        row['seed']: row
        for row in sorted(
            (r for r in rows if r['method'] == method), key=lambda r: r['seed']
        )
    }


def best(rows: Sequence[dict]) -> List[str]:
    """Methods that no other surpasses by two standard errors.

    The first has the highest mean of the linear probe; to each other one
    belongs the paired difference to it.

    Args:
        rows (Sequence[dict]): One a method and seed.

    Returns:
        list[str]: The first, then those that can't be told from it: all
        others, if there is but one seed.
    """
    scores = {m: by_seed(rows, m) for m in dict.fromkeys(r['method'] for r in rows)}
    first = max(scores, key=lambda m: mean(r['linear'] for r in scores[m].values()))
    alike = []
    for method, own in scores.items():
        seeds = own.keys() & scores[first].keys()
        lead = paired(
            *(
                [s[seed]['linear'] for seed in sorted(seeds)]
                for s in (scores[first], own)
            )
        )
        error = lead['standard_error']
        if method != first and (error is None or lead['mean'] <= 2 * error):
            alike.append(method)
    return [first, *alike]


def _with(value: float, spread, sign: str = '') -> str:
    text = f'{value:{sign}.2f}'
    return text if spread is None else f'{text} ± {spread:.2f}'


def table(rows: Sequence[dict]) -> List[str]:
    """The methods as lines of a Markdown table."""
    lines = [
        '| method | linear probe | to MoCo-v2 | kNN | to MoCo-v2 | seconds | MiB |',
        '|---|---|---|---|---|---|---|',
    ]
    for method, stats in statistics(rows).items():
        cells = [method]
        for metric in ('linear', 'knn'):
            s = stats[metric]
            if s is None:
                cells += ['', '']
                continue
            gain = s['gain']
            cells += [
                _with(s['mean'], s['std']),
                ''
                if (gain is None or method == BASELINE)
                else _with(gain['mean'], gain['standard_error'], '+'),
            ]
        cells += [
            f'{stats[key]:.0f}' if stats[key] else '' for key in ('seconds', 'memory')
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def draw(rows: Sequence[dict], path: Path) -> None:
    """Linear probe of each method, mean and seeds, as a PNG.

    Args:
        rows (Sequence[dict]): One a method and seed.
        path (Path): The file.
    """
    found = statistics(rows)
    names = sorted(found, key=lambda m: found[m]['linear']['mean'])
    figure, axis = plt.subplots(
        figsize=(8, 0.34 * len(names) + 1), layout='constrained'
    )
    for y, name in enumerate(names):
        value = found[name]['linear']['mean']
        seeds = [r['linear'] for r in rows if r['method'] == name]
        colour = COLOURS['disco' if 'DisCo' in name else 'teacher']
        axis.barh(
            y,
            value,
            height=0.66,
            color=COLOURS['mocov2'] if (name == BASELINE) else colour,
        )
        axis.plot(seeds, [y] * len(seeds), 'o', color=INK, ms=3, alpha=0.6)
        axis.text(
            max([value, *seeds]) + 0.5,
            y,
            f'{value:.1f}',
            va='center',
            color=INK,
            fontsize=9,
        )
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_xlim(0, 100)  # bars begin at zero
    axis.set_title(
        'Linear probe, top-1 %, mean, and a dot for each seed',
        loc='left',
        fontsize=11,
        color=INK,
    )
    axis.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
