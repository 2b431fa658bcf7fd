from pathlib import Path
from typing import Dict, List

import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt  # noqa: E402

INK, MUTED = '#222222', '#8a8f98'
COLOURS = dict(
    teacher='#4c6a92',
    mocov2='#e08e45',
    disco='#2a9d6f',
    mocov2_teachers_images='#edc08f',
    distill_only='#8cc5ab',
    disco_untrained_teacher='#b9c8c0',
    untrained_student='#d5d8dd',
    untrained_teacher='#d5d8dd',
)


def _bars(axis, summary: dict, labels: Dict[str, str], key: str, title: str) -> None:
    """One horizontal bar a row, with a dot for each seed."""
    kinds = [kind for kind in labels if kind in summary][::-1]
    for y, kind in enumerate(kinds):
        value = summary[kind][key]
        axis.barh(y, value, color=COLOURS[kind], height=0.66)
        seeds = [run[key] for run in summary['runs'][kind]]
        if len(seeds) > 1:
            axis.plot(seeds, [y] * len(seeds), 'o', color=INK, ms=3, alpha=0.6)
        axis.text(
            max([value, *seeds]) + 0.3,
            y,
            f'{value:.1f}',
            va='center',
            color=INK,
            fontsize=9,
        )
    values = [summary[kind][key] for kind in kinds]
    axis.set_xlim(0, max(values) + 10)  # bars begin at zero
    axis.set_yticks(range(len(kinds)), [labels[k] for k in kinds], fontsize=9)
    axis.set_title(title, loc='left', fontsize=11, color=INK)


def _curve(axis, logs: Dict[str, List[dict]], key: str, title: str) -> None:
    """One line a run of a value over the epochs."""
    for name, log in logs.items():
        kind, _, seed = name.split()
        values = [(row['epoch'], row[key]) for row in log if key in row]
        if values:
            axis.plot(
                *zip(*values),
                color=COLOURS[kind],
                lw=1.6,
                alpha=1 if seed == '0' else 0.45,
            )
    axis.set_title(title, loc='left', fontsize=11, color=INK)
    axis.set_xlabel('epoch', fontsize=9, color=MUTED)


def draw_summary(
    summary: dict, logs: Dict[str, List[dict]], labels: Dict[str, str], path: Path
) -> None:
    """Bars of the scores and curves of the training, as a PNG.

    Args:
        summary (dict): What ``summary.json`` holds.
        logs (dict): Logged values of each run, '<kind> seed <seed>'.
        labels (dict): Row names by kind, in order.
        path (Path): The file.
    """
    # A contrastive loss is called 'loss' in MoCo's own log.
    logs = {
        name: [dict(row, contrastive=row.get('loss_ssl', row['loss'])) for row in log]
        for name, log in logs.items()
    }
    figure, axes = plt.subplots(2, 2, figsize=(12, 7.6), layout='constrained')
    _bars(axes[0, 0], summary, labels, 'linear', 'Linear probe, top-1 %')
    _bars(axes[0, 1], summary, labels, 'knn', 'kNN (k = 20), top-1 %')
    axes[0, 1].set_yticks([])
    shown = {
        name: log for name, log in logs.items() if not name.startswith('distill_only')
    }
    _curve(axes[1, 0], shown, 'contrastive', 'Contrastive loss')
    _curve(axes[1, 1], logs, 'cosine', 'Cosine of student and teacher')
    for axis in axes.flat:
        axis.spines[['top', 'right']].set_visible(False)
        axis.tick_params(colors=MUTED, labelsize=9)
    for label in axes[0, 0].get_yticklabels():
        label.set_color(INK)
    kinds = {name.split()[0] for name in logs}
    handles = [
        plt.Line2D([], [], color=COLOURS[kind], label=labels[kind])
        for kind in labels
        if kind in kinds
    ]
    axes[1, 1].legend(handles=handles, fontsize=8, frameon=False)
    small, large = (f'{summary[kind]["params"]:,}' for kind in ('disco', 'teacher'))
    figure.suptitle(
        f'DisCo: a student of {small} parameters, its teacher of {large}; '
        f'{len(summary["seeds"])} seed(s)',
        x=0.01,
        ha='left',
        fontsize=13,
        color=INK,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)
