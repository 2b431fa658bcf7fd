import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from mmdisco.errors import MissingFileError
from .files import broken_images, names_in, with_bar
from .report import Report

VOC_COUNTS = {('VOC2007', 'trainval'): 5011, ('VOC2007', 'test'): 4952,
              ('VOC2012', 'trainval'): 11540}
VOC_CLASSES = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car',
               'cat', 'chair', 'cow', 'diningtable', 'dog', 'horse',
               'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train',
               'tvmonitor')


def check_voc(root: Path,
              counts: str = 'official',
              classes: Sequence[str] = VOC_CLASSES,
              images: bool = False) -> Report:
    """Check that VOC 07+12 is there, whole, and with sane boxes.

    Args:
        root (Path): Folder of VOC2007 and VOC2012.
        counts (str): 'official' to warn of other numbers of images, or
            'any'. Defaults to 'official'.
        classes (Sequence[str]): Names that objects may have. Defaults to
            VOC's twenty.
        images (bool): Whether to open each image. Defaults to False.

    Raises:
        MissingFileError: If there is no such root.
    """
    if not root.is_dir():
        raise MissingFileError(f"no folder '{root}': name VOC's with --root, "
                               'or unpack its archives with --archives')
    report = Report()
    for (year, split), official in VOC_COUNTS.items():
        _check_split(report, root / year, split, official
                     if counts == 'official' else None, {*classes}, images)
    return report


def _check_split(report: Report, folder: Path, split: str,
                 official: Optional[int], classes: set, images: bool) -> None:
    before = len(report.faults)
    here = {part: names_in(folder / part)
            for part in ('JPEGImages', 'Annotations')}
    for part, names in here.items():
        if names is None:
            line = f"no folder '{folder / part}'"
            if line not in report.faults:
                report.faults.append(line)
    path = folder / 'ImageSets' / 'Main' / f'{split}.txt'
    try:
        ids = path.read_text().split()
    except (OSError, UnicodeDecodeError):
        report.faults.append(f"no list of images '{path}'")
        return
    what = f'{folder.name} {split}'
    if not ids:
        report.faults.append(f"'{path}' lists no image")
    if len({*ids}) < len(ids):
        report.faults.append(f"'{path}' lists an image twice")
    if official:
        report.count(what, len(ids), official)
    if None in here.values():
        return
    found: List[str] = []  # the class of each object
    for name in with_bar(ids, what):
        image, xml = f'{name}.jpg', f'{name}.xml'
        if image not in here['JPEGImages']:
            report.faults.append(f"no image '{folder / 'JPEGImages' / image}'")
        if xml not in here['Annotations']:
            report.faults.append(
                f"no annotation '{folder / 'Annotations' / xml}'")
        else:
            report.faults += _read(folder / 'Annotations' / xml, classes,
                                   found)
    if images:
        report.faults += broken_images(
            folder / 'JPEGImages' / f'{name}.jpg' for name in ids
            if f'{name}.jpg' in here['JPEGImages'])
    if len(report.faults) == before:
        report.good.append(f'{what}: {len(ids)} images, {len(found)} objects, '
                           f'{len({*found})} classes: good')


def _read(path: Path, classes: set, found: List[str]) -> Iterator[str]:
    """Faults of an annotation; the classes of its objects go to found."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        yield f"'{path}' is no XML: {error}"
        return
    width, height = (_number(root, f'size/{k}') for k in ('width', 'height'))
    if not (width > 0 and height > 0):
        yield f"'{path}' has no size of the image"
        return
    for number, entry in enumerate(root.findall('object'), 1):
        name = entry.findtext('name')
        found.append(name)
        if name not in classes:
            yield f"'{path}': object {number} is of an unknown class '{name}'"
        difficult = entry.findtext('difficult', '0').strip()
        if difficult not in ('0', '1'):
            yield (f"'{path}': object {number} has difficult '{difficult}', "
                   'not 0 or 1')
        box = [_number(entry, f'bndbox/{key}')
               for key in ('xmin', 'ymin', 'xmax', 'ymax')]
        # not a number compares as False
        if not (0 <= box[0] < box[2] <= width
                and 0 <= box[1] < box[3] <= height):
            told = ' '.join(f'{x:g}' for x in box)
            yield (f"'{path}': object {number} has the box {told} in an image "
                   f'of {width:g}x{height:g}')


def _number(element: ET.Element, path: str) -> float:
    try:
        return float(element.findtext(path, 'nan'))
    except ValueError:
        return math.nan
