import math
from collections.abc import Iterator
from typing import Any


def mask_fault(mask: Any, width: int, height: int) -> str | None:
    """What is wrong with the mask of an object, None if nothing is.

    Args:
        mask: Polygons, or run lengths, as COCO's ``segmentation``.
        width (int): Of the image, in pixels.
        height (int): Of the image, in pixels.
    """
    if isinstance(mask, list):
        return _polygons(mask)
    if isinstance(mask, dict):
        return _run_lengths(mask, width, height)
    return f'has a segmentation that is a {type(mask).__name__}'


def left_out_polygons(mask: Any) -> int:
    """How many polygons mmdet does not learn: under three points, or odd."""
    if not isinstance(mask, list):
        return 0
    return sum(len(polygon) < 6 or len(polygon) % 2 for polygon in mask)


def _polygons(mask: list) -> str | None:
    try:
        lengths = [len(polygon) for polygon in mask]
        finite = all(math.isfinite(sum(polygon)) for polygon in mask)
    except (TypeError, OverflowError):
        return 'has a segmentation that is not a list of lists of numbers'
    if not finite:
        return 'has a polygon with a number that is not finite'
    # pycocotools takes the first one's length for the kind of all
    if lengths[0] < 5 or min(lengths) < 4:
        return f'has a polygon of {min(lengths)} numbers: it needs three points or more'
    if all(n < 6 or n % 2 for n in lengths):
        return 'has no polygon of three points or more, each an x and a y'
    return None


def _run_lengths(mask: dict, width: int, height: int) -> str | None:
    size, counts = mask.get('size'), mask.get('counts')
    if size != [height, width]:
        return (
            f'has a mask of the size {size}, in an image of '
            f'{[height, width]} (height, width)'
        )
    if isinstance(counts, str):
        runs = _decoded(counts)
    else:
        runs = counts if isinstance(counts, list) else None
    if runs is None or not all(isinstance(run, int) and run >= 0 for run in runs):
        return 'has run lengths that are not counts of pixels'
    if sum(runs) != width * height:
        return f'has run lengths of {sum(runs)} pixels, in an image of {width * height}'
    return None


def _decoded(counts: str) -> list | None:
    """Run lengths of COCO's compressed form, None if it is another text."""
    runs = []
    try:
        for value in _numbers(counts):
            # from the fourth on, the difference to the one before the last
            runs.append(value + runs[-2] if len(runs) > 2 else value)
    except ValueError:
        return None
    return runs


def _numbers(text: str) -> Iterator[int]:
    """Of groups of five bits, the lowest first, with a sign."""
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            yield value - (1 << shift) * (bits >> 4 & 1)
            value, shift = 0, 0
    if shift:
        raise ValueError
