"""Statistics, report and figure of DisCo and related methods."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev

from .comparators import BASELINE, CONFIGS, SWEPT, WEIGHT_ROW
from .figures import COLOURS, INK, panels
from .stats import by_seed, origin_line, paired, plus_minus

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
OTHER_KD = ', mean over classes'
Tuned = dict[str, list[tuple[dict, float]]]


def sections(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """The rows of each table.

    Args:
        rows (Sequence[dict]): All rows of the CSV file.

    Returns:
        dict: ``methods``; ``weights``, DisCo with other weights; ``kd``, KD with
        the divergence averaged over classes. The last two are empty if there
        are no such rows, and else start with the rows that they are compared
        with.
    """
    weights = [row for row in rows if row['method'].startswith(WEIGHT_ROW)]
    kd = [row for row in rows if OTHER_KD in row['method']]
    methods = [row for row in rows if row not in weights and row not in kd]
    base = [row for row in methods if row['method'] == BASELINE]
    summed = [row for row in methods if row['method'] in ('KD', 'KD + DisCo')]
    return dict(
        methods=methods,
        weights=weights and [*base, *weights],
        kd=kd and [*base, *summed, *kd],
    )


def statistics(rows: Sequence[dict]) -> dict[str, dict]:
    """Mean and deviation of each method, and its gain over MoCo-v2.

    Args:
        rows (Sequence[dict]): One per method and seed; ``knn``, ``seconds`` and
            ``peak_memory_mib`` may be None.

    Returns:
        dict: By method ``linear`` and ``knn``, each with ``mean``, ``std``
        and ``gain`` from :func:`paired` (None without values), and
        ``seconds`` and ``memory``, medians over the seeds.
    """
    stats: dict[str, dict] = {}
    base = by_seed(rows, method=BASELINE)
    for method in dict.fromkeys(row['method'] for row in rows):
        runs = by_seed(rows, method=method)
        stats[method] = {
            name: median(r[key] for r in runs.values())
            if all(r[key] for r in runs.values())
            else None
            for name, key in (('seconds', 'seconds'), ('memory', 'peak_memory_mib'))
        }
        for metric in ('linear', 'knn'):
            scores = [r[metric] for r in runs.values()]
            stats[method][metric] = (
                None
                if scores[0] is None
                else dict(
                    mean=mean(scores),
                    std=stdev(scores) if len(scores) > 1 else None,
                    gain=paired(scores, [r[metric] for r in base.values()])
                    if runs.keys() == base.keys()
                    else None,
                )
            )
    return stats


def best(rows: Sequence[dict]) -> list[str]:
    """Methods that no other one surpasses by two standard errors.

    Args:
        rows (Sequence[dict]): One per method and seed.

    Returns:
        list[str]: The method with the highest mean of the linear probe, then
        those whose paired difference to it is at most two standard errors. With
        one seed there is no error, and all methods are listed.
    """
    scores = {
        method: by_seed(rows, method=method)
        for method in dict.fromkeys(row['method'] for row in rows)
    }
    first = max(scores, key=lambda m: mean(r['linear'] for r in scores[m].values()))
    tied = []
    for method, runs in scores.items():
        seeds = sorted(runs.keys() & scores[first].keys())
        lead = paired(
            *([s[seed]['linear'] for seed in seeds] for s in (scores[first], runs))
        )
        error = lead['standard_error']
        if method != first and (error is None or lead['mean'] <= 2 * error):
            tied.append(method)
    return [first, *tied]


def verdict(rows: Sequence[dict]) -> str:
    """One sentence or two: the best method without labels, and its ties."""
    rows = [row for row in rows if row['distill'] != 'KD']
    first, *tied = best(rows)
    text = f'Highest mean of the linear probe without labels: **{first}**. '
    text += (
        'Not better by two standard errors of the paired difference than: '
        + '; '.join(tied)
        + '.'
        if tied
        else 'Each other method is lower by more than two standard errors of the '
        'paired difference.'
    )
    methods = {row['method'] for row in rows}
    if SWEPT in methods and SWEPT not in (first, *tied):
        text += f' {SWEPT} is not among the best here.'
    return text


def table(rows: Sequence[dict]) -> list[str]:
    """The methods as lines of a Markdown table."""
    lines = [
        f'| method | linear probe | to {BASELINE} | kNN | to {BASELINE} '
        '| seconds | MiB |',
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
                plus_minus(s['mean'], s['std']),
                ''
                if (gain is None or method == BASELINE)
                else plus_minus(gain['mean'], gain['standard_error'], '+'),
            ]
        cells += [
            f'{stats[key]:.0f}' if stats[key] else '' for key in ('seconds', 'memory')
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def _grid(tuned: Tuned) -> list[str]:
    """The settings and held-out scores of each method."""
    lines = []
    for name, scores in tuned.items():
        top = max(range(len(scores)), key=lambda i: scores[i][1])  # the first if tied
        cells = []
        for i, (setting, score) in enumerate(scores):
            what = ', '.join(
                f'{".".join(key.split(".")[-2:])} {value:g}'
                for key, value in setting.items()
            )
            cell = f'{what}: {score:.2f}'
            cells.append(f'**{cell}**' if i == top else cell)
        lines.append(f'- {name}: {"; ".join(cells)}{_edge(scores)}')
    return lines


def _edge(scores: list[tuple[dict, float]]) -> str:
    """A remark if the best value is the first or last of several."""
    setting = max(scores, key=lambda pair: pair[1])[0]
    for key, value in setting.items():
        values = sorted({other[key] for other, _ in scores})
        if len(values) > 2 and value in (values[0], values[-1]):
            return ' (at the edge of its grid)'
    return ''


def markdown(rows: Sequence[dict], tuned: Tuned, images: int, epochs: int) -> str:
    """The report.

    Args:
        rows (Sequence[dict]): One per method and seed.
        tuned (dict): Settings and held-out scores by method.
        images (int): Number of training images.
        epochs (int): Number of epochs of each run.

    Returns:
        str: Markdown.
    """
    parts = sections(rows)
    seeds = len({row['seed'] for row in rows})
    lines = [
        '# DisCo and related methods',
        '',
        f'{images} training images, {epochs} epochs, {seeds} seeds (`{CONFIGS}/`, '
        f'`{CONFIGS}/comparators/`). Test images: mean ± standard deviation over the '
        f'seeds; paired difference to {BASELINE} ± standard error; median seconds of '
        'all steps of a run, and its peak memory.',
        '',
        *table(parts['methods']),
        '',
        verdict(parts['methods']),
    ]
    if parts['weights']:
        lines += ['', f"## {SWEPT}'s weight", '', *table(parts['weights'])]
    if parts['kd']:
        lines += ['', "## KD's mean over classes", '', *table(parts['kd'])]
    lines += [
        '',
        '## Tuning',
        '',
        'Linear probe of held-out training images, one seed. Bold: the setting used '
        'above.',
        '',
        *_grid(tuned),
    ]
    return '\n'.join([*lines, '', origin_line(rows), ''])


def draw(rows: Sequence[dict], path: Path) -> None:
    """Linear probe of each method, mean and seeds, as a PNG.

    Args:
        rows (Sequence[dict]): One per method and seed.
        path (Path): The file.
    """
    stats = statistics(rows)
    names = sorted(stats, key=lambda m: stats[m]['linear']['mean'])
    figure, [[axis]] = panels(1, 1, (8, 0.34 * len(names) + 1))
    for y, name in enumerate(names):
        value = stats[name]['linear']['mean']
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
    figure.savefig(path, dpi=110)
