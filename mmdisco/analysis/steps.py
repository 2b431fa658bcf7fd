from pathlib import Path

import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt  # noqa: E402


def print_steps(rows: dict, base: str = 'plain') -> None:
    """Print seconds, ratio to the base and peak memory of timed steps.

    Args:
        rows (dict): As of ``take_turns``.
        base (str): The row that ratios refer to. Defaults to 'plain'.
    """
    width = max(map(len, rows))
    for name, row in rows.items():
        ratio = rows[base]['seconds'] / row['seconds']
        memory = row['peak_memory_mib'] / rows[base]['peak_memory_mib']
        print(
            f'{name:<{width}} {row["seconds"]:7.3f} s  {ratio:5.2f}x  '
            f'peak {row["peak_memory_mib"]:6.0f} MiB  {memory:5.2f}'
        )
    for level in ('exact', 'auto'):
        if f'bare_{level}' in rows:
            ratio = rows[level]['seconds'] / rows[f'bare_{level}']['seconds']
            print(f'{level} takes {ratio:.3f} of its bare passes')


def draw_steps(rows: dict, title: str, path: Path, base: str = 'plain') -> None:
    """Seconds and peak memory of timed steps as bars.

    Args:
        rows (dict): As of ``take_turns``.
        title (str): Of the figure.
        path (Path): The PNG.
        base (str): The row that ratios refer to. Defaults to 'plain'.
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(9, 0.9 + 0.35 * len(rows)), sharey=True, layout='constrained'
    )
    for axis, key, label in (
        (axes[0], 'seconds', 'seconds a step'),
        (axes[1], 'peak_memory_mib', 'peak memory, MiB'),
    ):
        values = [row[key] for row in rows.values()]
        bars = axis.barh(
            list(rows),
            values,
            color=[
                '#2a9d6f' if name in ('exact', 'auto') else '#b9c8c0' for name in rows
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
        axis.spines[['top', 'right']].set_visible(False)
    axes[0].invert_yaxis()
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    plt.close(figure)
