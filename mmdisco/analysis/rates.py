from pathlib import Path

import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt  # noqa: E402


def draw_rates(rows: dict, label: str, path: Path) -> None:
    """A bar for each rate of a benchmark, as a PNG.

    Args:
        rows (dict): By name, in order: ``images_per_s`` and ``ratio``.
        label (str): Of the axis.
        path (Path): The file.
    """
    figure, axis = plt.subplots(
        figsize=(8, 0.9 + 0.35 * len(rows)), layout='constrained'
    )
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
    axis.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
