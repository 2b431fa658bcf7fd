"""The table and the figure of benchmarks/detection, from its rows."""

from pathlib import Path
from statistics import mean, stdev
from typing import Dict, List, Sequence

from .figure import INK, plt

COLUMNS = (
    'detector',
    'init',
    'seed',
    'AP',
    'AP50',
    'seconds',
    'command',
    'commit',
    'machine',
    'lr',
)
INITS = dict(random='#b9c8c0', mocov2='#e08e45', disco='#2a9d6f')
LABELS = dict(random='random', mocov2='MoCo-v2', disco='DisCo')


def statistics(rows: Sequence[dict]) -> Dict[tuple, Dict[str, List[dict]]]:
    """Rows by (detector, learning rate) and by initialisation, in order."""
    found: Dict[tuple, Dict[str, List[dict]]] = {}
    for row in rows:
        found.setdefault((row['detector'], row['lr']), {init: [] for init in INITS})[
            row['init']
        ].append(row)
    return found


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ''
    spread = f' ± {stdev(values):.2f}' if len(values) > 1 else ''
    return f'{mean(values):.2f}{spread}'


def _scores(rows: Sequence[dict], key: str) -> Dict[int, float]:
    return {int(row['seed']): float(row[key]) for row in rows}


def markdown(rows: Sequence[dict], conditions: str) -> str:
    """Mean and deviation over the seeds, and DisCo's gains by seed.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`, AP in per cent.
        conditions (str): What was trained on what.
    """
    lines = [
        '# Students as backbones of C4 detectors',
        '',
        f'Measured here. {conditions}',
        '',
        f'| detector | lr | metric | {" | ".join(LABELS.values())} | '
        'DisCo - random | DisCo - MoCo-v2 |',
        '|---' * 8 + '|',
    ]
    for (detector, lr), found in statistics(rows).items():
        for key in ('AP', 'AP50'):
            scores = {init: _scores(of, key) for init, of in found.items()}
            gains = [
                [
                    scores['disco'][seed] - scores[init][seed]
                    for seed in scores['disco']
                    if seed in scores[init]
                ]
                for init in ('random', 'mocov2')
            ]
            lines.append(
                '| '
                + ' | '.join(
                    [
                        detector,
                        lr,
                        key,
                        *(_cell([*of.values()]) for of in scores.values()),
                        *(
                            _cell(gain)
                            and f'{mean(gain):+.2f}'
                            + _cell(gain).partition(' ')[1]
                            + _cell(gain).partition(' ')[2]
                            for gain in gains
                        ),
                    ]
                )
                + ' |'
            )
    seconds = sorted(float(row['seconds']) for row in rows)
    lines += [
        '',
        'Mean ± standard deviation over the seeds, per cent; gains '
        'are paired by seed. A run trains for '
        f'{seconds[len(seconds) // 2]:.0f} s (median).',
        '',
    ]
    told = sorted({(row['commit'], row['machine']) for row in rows})
    lines += [
        f'Commit {commit}, {machine}; the commands are in the CSV file.'
        for commit, machine in told
    ]
    return '\n'.join(lines) + '\n'


def draw(rows: Sequence[dict], path: Path) -> None:
    """AP of each initialisation, a dot a seed, as a PNG.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`.
        path (Path): The file.
    """
    found = statistics(rows)
    rates = sorted({lr for _, lr in found}, key=float, reverse=True)
    figure, axes = plt.subplots(
        len(rates),
        sharey=True,
        squeeze=False,
        layout='constrained',
        figsize=(8, 0.6 + 3 * len(rates)),
    )
    for axis, rate in zip(axes[:, 0], rates):
        of = {detector: cells for (detector, lr), cells in found.items() if lr == rate}
        for shift, (init, colour) in zip((-0.27, 0, 0.27), INITS.items()):
            for place, cells in enumerate(of.values()):
                values = [*_scores(cells[init], 'AP').values()]
                if not values:
                    continue
                axis.bar(
                    place + shift,
                    mean(values),
                    0.25,
                    color=colour,
                    label=LABELS[init] if not place else None,
                )
                axis.plot(
                    [place + shift] * len(values),
                    values,
                    'o',
                    color=INK,
                    ms=3,
                    alpha=0.6,
                )
        axis.set_xticks(
            range(len(of)), [name.replace(', ', '\n') for name in of], fontsize=9
        )
        axis.set_ylim(bottom=0)  # bars begin at zero
        axis.set_title(
            f'AP, %, mean and the seeds, learning rate {rate}',
            loc='left',
            fontsize=11,
            color=INK,
        )
        axis.spines[['top', 'right']].set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=9, ncols=3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
