"""Check images and objects of a COCO annotation file."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .report import Report

SLACK = 2  # pixels that a box may leave its image by rounding
_FEW = 0.05  # share of boxes outside their image up to which they only warn
_HINT = ": COCO's are left, top, width and height, not corners"
_LARGEST = 1e10  # area above which pycocotools ignores an object


def check_content(
    report: Report,
    path: str,
    content: dict,
    evaluated: bool,
    masks: bool | None = None,
) -> None:
    """Check the images and objects of an annotation file in COCO's format.

    A fault is anything that ``CocoDataset`` drops or fails on in training, or
    that pycocotools fails on or miscounts in evaluation.

    Args:
        report (Report): Receives the lines.
        path (str): The file, quoted.
        content (dict): Content: lists of images, annotations and categories.
        evaluated (bool): Whether the file is for evaluation, not training.
        masks (bool, optional): Whether masks are required. Defaults to None:
            if any object has one.
    """
    before = len(report.faults)
    report.faults += (f'{path}: {fault}' for fault in _ids(content, evaluated))
    if len(report.faults) > before:
        return  # the checks below need valid ids
    objects = content['annotations']
    if masks is None:
        masks = any(entry.get('segmentation') for entry in objects)
        if not masks:
            report.notes.append(f'{path} has only boxes: for detectors without masks')
    sizes: dict[Any, tuple | None] = {}
    for entry in content['images']:
        size: tuple | None = (entry.get('width'), entry.get('height'))
        if not all(_finite(side) and side > 0 for side in size or ()):
            report.faults.append(f'{path}: image {entry["id"]} has no size')
            size = None
        elif masks and not all(isinstance(side, int) for side in size or ()):
            report.faults.append(
                f'{path}: image {entry["id"]} has the size {size}: masks need integers'
            )
            size = None
        sizes[entry['id']] = size
    kept = {entry['id']: 0 for entry in content['categories']}
    present = dict(kept)
    odd: Counter[tuple[str, str]] = Counter()
    for entry in objects:
        fault = _object(entry, sizes, kept, evaluated, masks, odd)
        if fault:
            report.faults.append(f'{path}: annotation {entry["id"]} {fault}')
        elif entry['category_id'] in present:
            present[entry['category_id']] += 1
    if not evaluated:
        report.faults += (
            f'{path}: none of the {present[number]} objects of category '
            f'{number} can be used for training: mmdet leaves out objects '
            'without area, under a pixel wide or high, or in a crowd'
            for number, count in kept.items()
            if present[number] and not count
        )
    _check_leaving(report, path, odd, len(objects))
    for (kind, text), count in odd.items():
        getattr(report, kind).append(f'{path}: {count} {text}')


def _ids(content: dict, evaluated: bool) -> Iterator[str]:
    """Faults of entries with a missing, duplicate or invalid id."""
    for what, key in (
        ('image', 'images'),
        ('annotation', 'annotations'),
        ('category', 'categories'),
    ):
        seen = set()
        kinds = set()
        for position, entry in enumerate(content[key]):
            number = entry.get('id') if isinstance(entry, dict) else None
            if (
                not isinstance(number, (int, float, str)) or number != number
            ):  # not a number
                yield f'{what} at position {position} has no id'
                continue
            if number in seen:
                yield f'two times {what} {number}'
            seen.add(number)
            kinds.add(isinstance(number, str))
            if not evaluated or what == 'image':
                continue
            if what == 'annotation' and number == 0:
                yield (
                    'an annotation has the id 0, which pycocotools treats as '
                    'no match: its detection would count as a false positive; '
                    'count from 1'
                )
            elif isinstance(number, str) or (
                what == 'category' and not isinstance(number, int)
            ):
                yield (
                    f'{what} {number!r} has an id that is not an integer: '
                    'the evaluation would fail'
                )
                break  # one is enough
        if len(kinds) > 1:
            yield f'the ids of {key} are both numbers and texts'


def _object(
    entry: dict, sizes: dict, kept: dict, evaluated: bool, masks: bool, odd: Counter
) -> str | None:
    """Return the first fault of an object.

    Objects used by mmdet in training are counted in ``kept``, by category;
    notes and warnings in ``odd``, by kind and text.
    """
    image, category = entry.get('image_id'), entry.get('category_id')
    for what, number, known in (('image', image, sizes), ('category', category, kept)):
        if not isinstance(number, (int, float, str)) or number not in known:
            return f'is of {what} {number}, which the file does not list'
    box, area = entry.get('bbox'), entry.get('area', math.nan)
    if not (isinstance(box, list) and len(box) == 4 and all(map(_finite, box))):
        return f'has the box {box}, not four numbers'
    if not _finite(area):
        return 'has no area'
    crowd = entry.get('iscrowd')
    if crowd not in (0, 1) and (crowd is not None or evaluated):
        return f'has iscrowd {crowd!r}, not 0 or 1: pycocotools needs it'
    x, y, width, height = box
    if min(width, height) < 0 or evaluated and not (crowd or min(width, height) > 0):
        return f'has the box {_text(box)}: without width or height no match is possible'
    size = sizes[image]
    if size and not (
        -SLACK <= x
        and x + width <= size[0] + SLACK
        and -SLACK <= y
        and y + height <= size[1] + SLACK
    ):
        if _inside(box, size) < 0.5:
            return (
                f'has the box {_text(box)}, more than half of it outside '
                f'the image of {size[0]:g}x{size[1]:g}{_HINT}'
            )
        odd['leaving', 'in all'] += 1
        if x < width <= size[0] and y < height <= size[1]:
            odd['leaving', 'fit as corners'] += 1
    if evaluated and not 0 <= area <= _LARGEST:
        return f'has the area {area:g}: pycocotools would ignore it'
    if masks:
        mask = entry.get('segmentation')
        if not mask:
            return 'has no segmentation'
        fault = size and mask_fault(mask, *size)
        if fault:
            return fault
        if left_out_polygons(mask):
            odd[
                'notes',
                'objects have a polygon with fewer than three points, which mmdet '
                'leaves out',
            ] += 1
    if entry.get('ignore') and not crowd:
        if evaluated:
            return (
                f'has ignore {entry["ignore"]}, which pycocotools '
                'overwrites with iscrowd: write iscrowd 1, or leave it out'
            )
        odd['notes', 'objects have ignore, mmdet leaves them out'] += 1
    elif area <= 0 and min(width, height) >= 1:
        odd[
            'warnings',
            'objects have the area 0, but a box: mmdet leaves '
            'them out of training, and the evaluation counts them as small',
        ] += 1
    elif area <= 0 or min(width, height) < 1:
        odd[
            'notes',
            'objects are under a pixel wide, high or large; mmdet leaves them out',
        ] += 1
    elif not crowd:
        kept[category] += 1
    if area > (width + 1) * (height + 1):
        odd[
            'warnings',
            'objects have a larger area than their box: the AP of '
            'small, medium and large objects will be wrong',
        ] += 1
    return None


def _inside(box: list, size: tuple) -> float:
    """Fraction of a box inside its image."""
    return math.prod(
        max(min(start + side, end) - max(start, 0), 0) / max(side, 1e-9)
        for start, side, end in zip(box[:2], box[2:], size)
    )


def _check_leaving(report: Report, path: str, odd: Counter, objects: int) -> None:
    """Report boxes outside their image: few are normal, many are corners."""
    leaving = odd.pop(('leaving', 'in all'), 0)
    corners = odd.pop(('leaving', 'fit as corners'), 0)
    if not leaving:
        return
    text = (
        f'{path}: {leaving} of {objects} boxes leave their image by more '
        f'than {SLACK} pixels'
    )
    if corners == leaving and leaving > _FEW * objects:
        report.faults.append(text + _HINT)
    else:
        report.warnings.append(
            f'{text}: training clips them, the evaluation uses them as they are'
        )


def _text(box: list) -> str:
    return ' '.join(f'{x:g}' for x in box)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def mask_fault(mask: Any, width: int, height: int) -> str | None:
    """Describe the fault of an object's mask; None if it has none.

    Args:
        mask: Polygons or run lengths, see COCO's ``segmentation``.
        width (int): Width of the image, in pixels.
        height (int): Height of the image, in pixels.
    """
    if isinstance(mask, list):
        return _polygons(mask)
    if isinstance(mask, dict):
        return _run_lengths(mask, width, height)
    return f'has a segmentation that is a {type(mask).__name__}'


def left_out_polygons(mask: Any) -> int:
    """Count polygons that mmdet drops: under three points, or odd numbers."""
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
    # pycocotools decides the kind of all by the length of the first
    if lengths[0] < 5 or min(lengths) < 4:
        return f'has a polygon of {min(lengths)} numbers: at least three points needed'
    if all(n < 6 or n % 2 for n in lengths):
        return 'has no polygon of at least three points, each an x and a y'
    return None


def _run_lengths(mask: dict, width: int, height: int) -> str | None:
    size, counts = mask.get('size'), mask.get('counts')
    if size != [height, width]:
        return (
            f'has a mask of the size {size}, in an image of '
            f'{[height, width]} (height, width)'
        )
    runs = _decoded(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(
        isinstance(run, int) and run >= 0 for run in runs
    ):
        return 'has run lengths that are not counts of pixels'
    if sum(runs) != width * height:
        return f'has run lengths of {sum(runs)} pixels, in an image of {width * height}'
    return None


def _decoded(counts: str) -> list | None:
    """Decode COCO's compressed run lengths; None if the text is invalid."""
    runs: list[int] = []
    try:
        for value in _numbers(counts):
            # from the fourth on, a difference to the second last value
            runs.append(value + runs[-2] if len(runs) > 2 else value)
    except ValueError:
        return None
    return runs


def _numbers(text: str) -> Iterator[int]:
    """Decode signed numbers from groups of five bits, lowest first."""
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
