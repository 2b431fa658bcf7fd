import json
import math
from pathlib import Path
from typing import Any, Iterator, List, Optional

from mmdisco.errors import MissingFileError
from .files import broken_images, names_in
from .report import Report

COCO_COUNTS = dict(train2017=118287, val2017=5000)


def check_coco(root: Path,
               counts: str = 'official',
               images: bool = False) -> Report:
    """Check that COCO 2017 is there, whole, and with sane boxes.

    Args:
        root (Path): Folder of annotations, train2017 and val2017.
        counts (str): 'official' to warn of other numbers of images, or
            'any'. Defaults to 'official'.
        images (bool): Whether to open each image. Defaults to False.

    Raises:
        MissingFileError: If there is no such root.
    """
    if not root.is_dir():
        raise MissingFileError(f"no folder '{root}': name COCO's with --root, "
                               'or unpack its archives with --archives')
    report = Report()
    for split, official in COCO_COUNTS.items():
        _check_split(report, root, split,
                     official if counts == 'official' else None, images)
    return report


def _check_split(report: Report, root: Path, split: str,
                 official: Optional[int], images: bool) -> None:
    before = len(report.faults)
    folder = root / split
    names = names_in(folder)
    if names is None:
        report.faults.append(f"no folder '{folder}'")
    path = root / 'annotations' / f'instances_{split}.json'
    content = _content(path, report.faults)
    if content is None:
        return
    entries, objects = content['images'], content['annotations']
    told = f"'{path}'"
    report.faults += _identified(told, 'image', entries)
    report.faults += _identified(told, 'annotation', objects)
    report.faults += _identified(told, 'category', content['categories'])
    if len(report.faults) > before + (names is None):
        return  # what follows looks them up
    if official:
        report.count(split, len(entries), official)
    files = []
    for entry in entries:
        file = str(entry.get('file_name'))
        if not all(_finite(entry.get(k)) for k in ('width', 'height')):
            report.faults.append(f"{told}: image {entry['id']} has no size")
        if names is None:
            continue
        if file in names or (folder / file).is_file():  # or a sub-folder's
            files.append(folder / file)
        else:
            report.faults.append(f"no image '{folder / file}'")
    report.faults += _annotations(told, content)
    if images:
        report.faults += broken_images(files)
    thin = sum(_four(o.get('bbox')) and _thin(o) for o in objects)
    if thin:
        report.notes.append(f'{split}: {thin} objects are under a pixel wide, '
                            'high or large; mmdet leaves them out')
    if len(report.faults) == before:
        classes = {o['category_id'] for o in objects}
        report.good.append(f'{split}: {len(entries)} images, {len(objects)} '
                           f'objects, {len(classes)} classes: good')


def _content(path: Path, faults: List[str]) -> Optional[dict]:
    """What the file holds, None if it is no annotation file."""
    if not path.is_file():
        faults.append(f"no annotations '{path}'")
        return None
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        faults.append(f"'{path}' is no JSON: {error}")
        return None
    for key in ('images', 'annotations', 'categories'):
        found = content.get(key) if isinstance(content, dict) else None
        if not isinstance(found, list) or not found:
            faults.append(f"'{path}' has no list of {key}")
            return None
    return content


def _identified(told: str, what: str, entries: list) -> Iterator[str]:
    """Faults of entries that have no id, or that of another one."""
    seen = set()
    for position, entry in enumerate(entries):
        number = entry.get('id') if isinstance(entry, dict) else None
        if not isinstance(number, (int, str)):
            yield f'{told}: {what} at position {position} has no id'
        elif number in seen:
            yield f'{told}: two times {what} {number}'
        seen.add(number if isinstance(number, (int, str)) else None)


def _annotations(told: str, content: dict) -> Iterator[str]:
    images = {entry['id'] for entry in content['images']}
    categories = {entry['id'] for entry in content['categories']}
    for entry in content['annotations']:
        who = f"{told}: annotation {entry['id']}"
        for key, known in (('image_id', images), ('category_id', categories)):
            value = entry.get(key)
            if not isinstance(value, (int, str)) or value not in known:
                yield (f"{who} is of {key.removesuffix('_id')} "
                       f'{value}, which the file does not list')
        box = entry.get('bbox')
        if not _four(box):
            yield f'{who} has the box {box}, not four numbers'
        if not _finite(entry.get('area')):
            yield f'{who} has no area'
        if not entry.get('segmentation'):
            yield f'{who} has no segmentation'


def _thin(entry: dict) -> bool:
    """Whether mmdet drops an object for its size."""
    area = entry.get('area')
    return min(entry['bbox'][2:]) < 1 or (_finite(area) and area <= 0)


def _four(box: Any) -> bool:
    """Whether a box is four finite numbers."""
    return isinstance(box, list) and len(box) == 4 and all(map(_finite, box))


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
