from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

NAMED = 50  # classes at most whose names can be read


def draw_confusion(
    counts: Sequence[Sequence[int]], classes: Sequence[str], path: Path
) -> None:
    """Draw which class is taken for which.

    Args:
        counts (Sequence[Sequence[int]]): Of [class, guess].
        classes (Sequence[str]): Names of the classes.
        path (Path): PNG to write; its folder is made.
    """
    table = np.array(counts, dtype=float)
    shares = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 3 + 0.3 * min(len(classes), NAMED)
    figure = Figure(figsize=(side + 1, side), layout='constrained')
    axes = figure.subplots()
    shown = axes.imshow(shares, vmin=0, vmax=100, cmap='Blues')
    if len(classes) <= NAMED:
        # names of folders: no formulas, and perhaps no Unicode
        names = [str(name).encode(errors='replace').decode() for name in classes]
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set(xlabel='guess', ylabel='class')
    figure.colorbar(shown, ax=axes, label='% of the class')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
