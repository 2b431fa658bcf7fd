import math
from collections.abc import Sequence

from mmdisco.errors import InputError
from .settings import ITEMS


def scores_of(metrics: dict[str, float], classes: Sequence[str]) -> dict:
    """Put in order what the metrics of :func:`measure_by_coco` gave.

    Args:
        metrics (dict): Of the test, by ``<prefix>/<name>``.
        classes: Names in the order of the labels.

    Returns:
        dict: For ``bbox`` and, if measured, ``segm``: AP and AR from 0 to 1,
        None where no object is of that size, and ``per_class``, AP by name;
        under ``other`` what the config's other metrics gave.

    Raises:
        InputError: If nothing was detected in any image.
    """
    report = {}
    for kind in ('bbox', 'segm'):
        own = {
            key.split('/', 1)[1]: value
            for key, value in metrics.items()
            if key.startswith(f'{kind}/')
        }
        if own:
            report[kind] = {
                name: _number(own[f'{kind}_{item}']) for item, name in ITEMS.items()
            }
            report[kind]['per_class'] = {
                name: _number(own[f'{name}_precision']) for name in classes
            }
    if not report:
        raise InputError(
            'the detector found nothing in any image: is the '
            'checkpoint of a trained detector?'
        )
    report['other'] = {
        key: None if math.isnan(value) else float(value)
        for key, value in metrics.items()
        if key.split('/')[0] not in report
    }
    return report


def _number(value: float) -> float | None:
    """pycocotools' -1, and mmdet's nan, say that there is no such object."""
    return None if math.isnan(value) or value < 0 else float(value)
