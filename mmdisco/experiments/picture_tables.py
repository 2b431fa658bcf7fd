"""Tables and figure of the benchmark on clip art."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from .figures import COLOURS, INK, panels
from .pictures import ALONE, CLASSES, SIZE, Pictures, describe
from .stats import mean_std, origin_line

COLUMNS = (
    'method',
    'setting',
    'seed',
    'knn',
    'linear',
    'held_out',
    'command',
    'commit',
    'machine',
)
UNTRAINED, TEACHER = 'untrained student', f'teacher, {SIZE} pixels'
Tuned = dict[str, list[tuple[dict, float]]]  # settings and scores by method


def grouped(rows: Sequence[dict]) -> dict[tuple[str, str], list[dict]]:
    """Rows by method and setting, in their order."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        key = row['method'], row.get('setting') or ''
        groups.setdefault(key, []).append(row)
    return groups


def closed(rows: Sequence[dict], metric: str) -> dict[tuple[str, str], float]:
    """Share of the gap between untrained student and teacher that is closed.

    Args:
        rows (Sequence[dict]): One per method, setting and seed.
        metric (str): 'knn' or 'linear'.

    Returns:
        dict: Per cent, of the means over seeds, by method and setting.
    """
    means = {
        key: mean(row[metric] for row in group) for key, group in grouped(rows).items()
    }
    low, high = means[UNTRAINED, ''], means[TEACHER, '']
    return {key: 100 * (value - low) / (high - low) for key, value in means.items()}


def table(rows: Sequence[dict]) -> list[str]:
    """Lines of a Markdown table: scores, and shares of the gap."""
    shares = {metric: closed(rows, metric) for metric in ('knn', 'linear')}
    lines = [
        '| method | setting | kNN | gap closed | linear probe | gap closed |',
        '|---|---|---|---|---|---|',
    ]
    for key, group in grouped(rows).items():
        cells = [*key]
        for metric in ('knn', 'linear'):
            cells.append(mean_std([row[metric] for row in group]))
            trained = 'teacher' not in key[0] and key[0] != UNTRAINED
            cells.append(f'{shares[metric][key]:.0f} %' if trained else '')
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def verdict(rows: Sequence[dict]) -> str:
    """The method that closes most of the gap, in a sentence."""
    shares = closed(rows, 'knn')
    trained = [k for k in shares if 'teacher' not in k[0] and k[0] != UNTRAINED]
    first = max(trained, key=lambda key: shares[key])
    others = closed(rows, 'linear')
    return (
        f'Most of the gap is closed by **{first[0]}** ({first[1]}): '
        f'{shares[first]:.0f} % in kNN, {others[first]:.0f} % in the linear probe.'
    )


def _tuning(tuned: Tuned) -> list[str]:
    lines = []
    for name, scores in tuned.items():
        top = max(range(len(scores)), key=lambda i: scores[i][1])  # the first if tied
        cells = [f'{describe(setting)}: {score:.2f}' for setting, score in scores]
        cells[top] = f'**{cells[top]}**'
        lines.append(f'- {name}: {"; ".join(cells)}')
    return lines


def markdown(
    rows: Sequence[dict],
    tuned: Tuned,
    pictures: Pictures,
    epochs: int,
    search_epochs: int,
) -> str:
    """The report.

    Args:
        rows (Sequence[dict]): One per method, setting and seed.
        tuned (dict): Settings and scores of the short runs by method.
        pictures (Pictures): The pictures.
        epochs (int): Epochs of each run.
        search_epochs (int): Epochs of the short runs.

    Returns:
        str: Markdown.
    """
    seeds = len({row['seed'] for row in rows})
    lines = [
        '# Clip art, and a teacher with published weights',
        '',
        f'{len(pictures.train)} pictures without labels, {epochs} epochs, {seeds} '
        f'seeds; {len(CLASSES)} classes, {len(pictures.fit)} labelled pictures and '
        f'{len(pictures.test)} scored ones. Per cent, mean ± standard deviation over '
        'the seeds. The gap is that between the untrained student and the teacher.',
        '',
        *table(rows),
        '',
        verdict(rows),
        '',
        '## Tuning',
        '',
        f'kNN of the labelled pictures by each other, {search_epochs} epochs, one '
        'seed. Bold: the setting used above.',
        '',
        *_tuning(tuned),
        '',
        origin_line(rows),
        '',
    ]
    return '\n'.join(lines)


def draw(rows: Sequence[dict], path: Path) -> None:
    """Score of each method, mean and seeds, as a PNG.

    Args:
        rows (Sequence[dict]): One per method, setting and seed.
        path (Path): The file.
    """
    groups = list(grouped(rows).items())[::-1]
    figure, axes = panels(1, 2, (12, 0.36 * len(groups) + 1), share_y=True)
    titles = dict(knn='kNN (k = 10), top-1 %', linear='Linear probe, top-1 %')
    for axis, (metric, title) in zip(axes[0], titles.items()):
        for y, ((method, _), group) in enumerate(groups):
            values = [row[metric] for row in group]
            kind = dict.fromkeys((UNTRAINED,), 'untrained_student')
            kind[ALONE] = 'mocov2'
            colour = 'teacher' if 'teacher' in method else kind.get(method, 'disco')
            axis.barh(y, mean(values), height=0.66, color=COLOURS[colour])
            if len(values) > 1:
                axis.plot(values, [y] * len(values), 'o', color=INK, ms=3, alpha=0.6)
            text = f'{mean(values):.1f}'
            axis.text(max(values) + 0.7, y, text, va='center', color=INK, fontsize=9)
        axis.set_xlim(0, 75)  # bars begin at zero
        axis.set_title(title, loc='left', fontsize=11, color=INK)
    names = [f'{method}, {setting}'.rstrip(', ') for (method, setting), _ in groups]
    axes[0, 0].set_yticks(range(len(groups)), names, fontsize=9)
    figure.savefig(path, dpi=110)
