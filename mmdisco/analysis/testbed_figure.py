from pathlib import Path
from typing import Dict

from .figure import COLOURS, INK, plt

PARTS = (
    ('none', -0.18, COLOURS['mocov2'], 'alone'),
    ('DisCo', 0.18, COLOURS['disco'], 'with DisCo'),
)


def draw_testbeds(found: Dict[str, dict], path: Path) -> None:
    """Linear probe of both arms on each method, as a PNG.

    Args:
        found (dict): Of :func:`.testbeds.statistics`.
        path (Path): The file.
    """
    figure, axis = plt.subplots(figsize=(8, 3.6), layout='constrained')
    for arm, shift, colour, label in PARTS:
        stats = [metrics['linear'] for metrics in found.values()]
        places = [i + shift for i in range(len(stats))]
        means = [s['mean'][arm] for s in stats]
        axis.bar(
            places,
            means,
            0.34,
            color=colour,
            label=label,
            capsize=3,
            yerr=[s['std'][arm] or 0 for s in stats],
        )
        for place, value in zip(places, means):
            axis.text(
                place, value / 2, f'{value:.1f}', ha='center', color='white', fontsize=9
            )
    axis.set_xticks(range(len(found)), list(found))
    axis.set_ylim(0, 100)  # bars begin at zero
    axis.set_title(
        'Linear probe, top-1 %, mean and deviation of the seeds',
        loc='left',
        fontsize=11,
        color=INK,
    )
    axis.legend(frameon=False, fontsize=9, ncols=2, loc='upper right')
    axis.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
