"""Statistics, table and figure of what DisCo is compared with."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev

from .comparators import BASELINE
from .figures import COLOURS, INK, panels
from .stats import paired

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


def statistics(rows: Sequence[dict]) -> dict[str, dict]:
    """Mean and deviation of each method, and what it gains over MoCo-v2.

    Args:
        rows (Sequence[dict]): One a method and seed; ``knn``, ``seconds`` and
            ``peak_memory_mib`` may be None.

    Returns:
        dict: By method ``linear`` and ``knn``, each with ``mean``, ``std``
        and ``gain`` of :func:`paired` (None where there are no values),
        ``seconds`` and ``memory``, medians over the seeds.
    """
    found: dict[str, dict] = {}
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


def by_seed(rows: Sequence[dict], method: str) -> dict[int, dict]:
    """The rows of a method by seed, in order."""
    return {
        row['seed']: row
        for row in sorted(
            (r for r in rows if r['method'] == method), key=lambda r: r['seed']
        )
    }


def best(rows: Sequence[dict]) -> list[str]:
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


def table(rows: Sequence[dict]) -> list[str]:
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
    figure, [[axis]] = panels(1, 1, (8, 0.34 * len(names) + 1))
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
    figure.savefig(path, dpi=110)


OTHER_KD = ', mean over classes'
Tuned = dict[str, list[tuple[dict, float]]]


def split_kd(rows: Sequence[dict]) -> tuple[list[dict], list[dict]]:
    """Rows of the table, and those of the other arithmetic of KD."""
    other = [row for row in rows if OTHER_KD in row['method']]
    return [row for row in rows if row not in other], other


def _verdict(rows: Sequence[dict]) -> str:
    """Which is best, if any is."""
    rows = [row for row in rows if row['distill'] != 'KD']
    first, *alike = best(rows)
    text = f'Without labels, the highest mean is that of **{first}**. '
    text += (
        'It is the best: its paired difference to each other method is '
        'over two standard errors.'
        if not alike
        else 'It is not told apart, by two standard errors of the paired '
        f'difference, from: {"; ".join(alike)}.'
    )
    tried = {row['method'] for row in rows}
    if 'DisCo' in tried and 'DisCo' not in (first, *alike):
        text += ' DisCo is not the best here.'
    return text


def _grid(tuned: Tuned) -> list[str]:
    """What was tried of each method."""
    lines = []
    for name, scores in tuned.items():
        top = max(score for _, score in scores)
        cells = []
        for setting, score in scores:
            what = ', '.join(
                f'{".".join(key.split(".")[-2:])} {value:g}'
                for key, value in setting.items()
            )
            cell = f'{what}: {score:.2f}'
            cells.append(f'**{cell}**' if score == top else cell)
            if score == top:
                top = None  # the first of equals is taken
        edge = _edge(scores)
        lines.append(f'- {name}: {"; ".join(cells)}{edge}')
    return lines


def _edge(scores: list[tuple[dict, float]]) -> str:
    """A remark if the best value is the first or last of several."""
    setting = max(scores, key=lambda pair: pair[1])[0]
    for key, value in setting.items():
        tried = sorted({other[key] for other, _ in scores})
        if len(tried) > 2 and value in (tried[0], tried[-1]):
            return ' (at the edge of its grid)'
    return ''


def markdown(
    rows: Sequence[dict], swept: Sequence[dict], tuned: Tuned, images: int, epochs: int
) -> str:
    """The table as a document.

    Args:
        rows (Sequence[dict]): One a method and seed.
        swept (Sequence[dict]): Of DisCo's weights, likewise.
        tuned (dict): Settings and held-out scores by method.
        images (int): Training images.
        epochs (int): Of each run.
    """
    rows, other = split_kd(rows)
    seeds = len({row['seed'] for row in rows})
    lines = [
        '# DisCo and what it is compared with',
        '',
        f'A ResNet-18 a sixteenth as wide on {images} images of Fashion-MNIST, '
        f"{epochs} epochs, the quickstart's teacher, {seeds} seeds "
        '(`configs/quickstart/comparators/`). Linear probe and kNN of the '
        'frozen backbone on 10 000 test images: mean ± standard deviation over '
        'the seeds; paired difference to MoCo-v2 ± standard error. Equal '
        'epochs are not equal cost: SEED, CompRess and SimReg see one view of '
        'an image; MoCo-v2, AT and RKD a second with the momentum encoder '
        'alone; DisCo and Retro learn from both; BINGO learns from a view of '
        'the image and one of a neighbour, its teacher sees a third.',
        '',
        *table(rows),
        '',
        _verdict(rows),
        '',
        'Seconds are medians of the sum of step times, with a run on each '
        'core and other work on the machine meanwhile: runs of the same '
        'method differ by up to a half and more. MiB is the peak resident '
        "memory of a run's process, libraries and images included. To find "
        "BINGO's neighbours takes some seconds more. Three seeds are few: two "
        'standard errors of three paired differences are passed by chance in '
        'about one of six cases, and here are many methods, one student, one '
        'teacher and one test set.',
        '',
        "KD's rows are classifiers of the students of MoCo-v2 and DisCo that "
        "learn from labels and the teacher's logits, T = 2, α = .5, by L-BFGS "
        'on fixed features, as the linear probe; their kNN is that of their '
        'students. With the mean over classes, the '
        "arithmetic of DisCo's release, the teacher's term is divided by the "
        'number of classes, ten here. AT and RKD are beside the loss of '
        'MoCo-v2, with DisCo beside both. CompRess and SimReg have their own '
        "augmentation, crop and flip, unless MoCo-v2's views are named.",
    ]
    if swept:
        lines += [
            '',
            "## DisCo's weight",
            '',
            *table([*(row for row in rows if row['method'] == BASELINE), *swept]),
            '',
            'On test images, and nothing was chosen by them.',
        ]
    if other:
        lines += [
            '',
            "## KD's mean over classes",
            '',
            *table(
                [
                    *(
                        row
                        for row in rows
                        if row['method'] in (BASELINE, 'KD', 'KD + DisCo')
                    ),
                    *other,
                ]
            ),
        ]
    lines += [
        '',
        '## What was tuned',
        '',
        'At most four runs of each method, one seed, on four fifths of the '
        'training images; linear probe of the others. The best is taken, the '
        'rest is as published where that makes sense at this scale: memories '
        'and queues are 4096 long, and momentum encoders keep .99. One such '
        'score has a standard error of about one point. The rate of .12, the '
        "hidden layer of 64 and the views are the quickstart's, which were "
        'chosen before for DisCo and MoCo-v2 (docs/quickstart.md): those two '
        'had more runs than these. AT had weights from 10 to 10 000 first, of '
        'which 10 was the best, with DisCo and without; so its grid was moved '
        'down, before those rows were run anew.',
        '',
        *_grid(tuned),
    ]
    commits, commands, machines = (
        ', '.join(dict.fromkeys(row[key] for row in rows))
        for key in ('commit', 'command', 'machine')
    )
    return '\n'.join(
        [*lines, '', f'`{commands}` at commit {commits}, on {machines}.', '']
    )
