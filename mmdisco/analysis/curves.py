from pathlib import Path
from typing import Dict

import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt  # noqa: E402

Curves = Dict[str, Dict[int, float]]


def draw_curves(panels: Dict[str, Curves], label: str, path: Path) -> None:
    """A line for each variant of a benchmark, in panels side by side.

    Args:
        panels (dict): By what the horizontal axis is: variants by name, each
            with its values.
        label (str): Of the vertical axis.
        path (Path): The PNG.
    """
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(1 + 4 * len(panels), 3.4),
        squeeze=False,
        layout='constrained',
    )
    for axis, (name, curves) in zip(axes[0], panels.items()):
        for variant, values in curves.items():
            axis.plot(list(values), list(values.values()), marker='o', label=variant)
        axis.set_xlabel(name)
        axis.set_ylabel(label)
        axis.set_xticks(sorted({x for v in curves.values() for x in v}))
        axis.set_ylim(bottom=0)
        axis.spines[['top', 'right']].set_visible(False)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
