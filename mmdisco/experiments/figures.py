"""Figures of the experiments, as PNG files."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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


def panels(
    rows: int, columns: int, size: tuple[float, float], share_y: bool = False
) -> tuple[Figure, np.ndarray]:
    """An empty figure of plots without a frame.

    Args:
        rows (int): Rows of plots.
        columns (int): Columns of plots.
        size (tuple[float, float]): Width and height in inches.
        share_y (bool): Whether all plots share their vertical axis.
            Defaults to False.

    Returns:
        Figure: The figure; its ``savefig`` writes the file.
        np.ndarray: The axes, [rows, columns].
    """
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    for axis in axes.flat:
        axis.spines[['top', 'right']].set_visible(False)
    return figure, axes


def _bars(
    axis: Axes, summary: dict, labels: dict[str, str], key: str, title: str
) -> None:
    """One horizontal bar per row, with a dot for each seed."""
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


def _curve(axis: Axes, logs: dict[str, list[dict]], key: str, title: str) -> None:
    """A value over the epochs, one line per run."""
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
    summary: dict, logs: dict[str, list[dict]], labels: dict[str, str], path: Path
) -> None:
    """Bars of the scores and curves of the training, as a PNG.

    Args:
        summary (dict): Content of ``summary.json``.
        logs (dict): Logged values by run, '<kind> seed <seed>'.
        labels (dict): Row names by kind, in order.
        path (Path): The file.
    """
    # MoCo alone logs its contrastive loss as 'loss'
    logs = {
        name: [dict(row, contrastive=row.get('loss_ssl', row['loss'])) for row in log]
        for name, log in logs.items()
    }
    figure, axes = panels(2, 2, (12, 7.6))
    _bars(axes[0, 0], summary, labels, 'linear', 'Linear probe, top-1 %')
    _bars(axes[0, 1], summary, labels, 'knn', 'kNN (k = 20), top-1 %')
    axes[0, 1].set_yticks([])
    shown = {
        name: log for name, log in logs.items() if not name.startswith('distill_only')
    }
    _curve(axes[1, 0], shown, 'contrastive', 'Contrastive loss')
    _curve(axes[1, 1], logs, 'cosine', 'Cosine of student and teacher')
    for axis in axes.flat:
        axis.tick_params(colors=MUTED, labelsize=9)
    for label in axes[0, 0].get_yticklabels():
        label.set_color(INK)
    kinds = {name.split()[0] for name in logs}
    handles = [
        Line2D([], [], color=COLOURS[kind], label=labels[kind])
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


Curves = dict[str, dict[int, float]]


def draw_curves(plots: dict[str, Curves], label: str, path: Path) -> None:
    """A line for each variant of a benchmark, in plots side by side.

    Args:
        plots (dict): By label of the horizontal axis: the values of each
            variant.
        label (str): Label of the vertical axis.
        path (Path): The PNG.
    """
    figure, axes = panels(1, len(plots), (1 + 4 * len(plots), 3.4))
    for axis, (name, curves) in zip(axes[0], plots.items()):
        for variant, values in curves.items():
            axis.plot(list(values), list(values.values()), marker='o', label=variant)
        axis.set_xlabel(name)
        axis.set_ylabel(label)
        axis.set_xticks(sorted({x for v in curves.values() for x in v}))
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


def draw_rates(rows: dict, label: str, path: Path) -> None:
    """One bar per rate of a benchmark, as a PNG.

    Args:
        rows (dict): ``images_per_s`` and ``ratio`` by name, in order.
        label (str): Label of the axis.
        path (Path): The file.
    """
    figure, [[axis]] = panels(1, 1, (8, 0.9 + 0.35 * len(rows)))
    rates = [row['images_per_s'] for row in rows.values()]
    bars = axis.barh(
        list(rows),
        rates,
        color=['#2a9d6f' if 'ours' in name else '#b9c8c0' for name in rows],
    )
    axis.bar_label(
        bars,
        [f'{row["images_per_s"]:.0f}  ({row["ratio"]:.1f}x)' for row in rows.values()],
        padding=3,
        fontsize=9,
    )
    axis.invert_yaxis()
    axis.set_xlim(0, max(rates) * 1.2)  # bars begin at zero
    axis.set_xlabel(label)
    figure.savefig(path, dpi=150)


PARTS = (
    ('none', -0.18, COLOURS['mocov2'], 'alone'),
    ('DisCo', 0.18, COLOURS['disco'], 'with DisCo'),
)


def draw_testbeds(stats: dict[str, dict], path: Path) -> None:
    """Linear probe of both arms on each method, as a PNG.

    Args:
        stats (dict): Result of :func:`.testbeds.statistics`.
        path (Path): The file.
    """
    figure, [[axis]] = panels(1, 1, (8, 3.6))
    for arm, shift, colour, label in PARTS:
        linear = [metrics['linear'] for metrics in stats.values()]
        places = [i + shift for i in range(len(linear))]
        means = [s['mean'][arm] for s in linear]
        axis.bar(
            places,
            means,
            0.34,
            color=colour,
            label=label,
            capsize=3,
            yerr=[s['std'][arm] or 0 for s in linear],
        )
        for place, value in zip(places, means):
            axis.text(
                place, value / 2, f'{value:.1f}', ha='center', color='white', fontsize=9
            )
    axis.set_xticks(range(len(stats)), list(stats))
    axis.set_ylim(0, 100)  # bars begin at zero
    axis.set_title(
        'Linear probe, top-1 %, mean and deviation of the seeds',
        loc='left',
        fontsize=11,
        color=INK,
    )
    axis.legend(frameon=False, fontsize=9, ncols=2, loc='upper right')
    figure.savefig(path, dpi=110)


def draw_steps(rows: dict, title: str, path: Path, base: str = 'plain') -> None:
    """Seconds and peak memory of timed steps as bars, as a PNG.

    Args:
        rows (dict): ``seconds`` and ``peak_memory_mib`` by name.
        title (str): Title of the figure.
        path (Path): The PNG.
        base (str): Row that the ratios refer to. Defaults to 'plain'.
    """
    figure, [axes] = panels(1, 2, (9, 0.9 + 0.35 * len(rows)), share_y=True)
    for axis, key, label in (
        (axes[0], 'seconds', 'seconds a step'),
        (axes[1], 'peak_memory_mib', 'peak memory, MiB'),
    ):
        values = [row[key] for row in rows.values()]
        bars = axis.barh(
            list(rows),
            values,
            color=[
                '#2a9d6f' if name in ('exact', 'auto', 'stored') else '#b9c8c0'
                for name in rows
            ],
        )
        axis.bar_label(
            bars,
            [
                f'{value:.3g}  ({rows[base][key] / value:.2f}x)'
                if key == 'seconds'
                else f'{value:.0f}'
                for value in values
            ],
            padding=3,
            fontsize=9,
        )
        axis.set_xlim(0, max(values) * 1.3)  # bars begin at zero
        axis.set_xlabel(label)
    axes[0].invert_yaxis()
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
