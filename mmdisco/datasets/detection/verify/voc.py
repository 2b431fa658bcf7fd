"""Check VOC 07+12 before training or evaluation."""

import math
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmdisco.errors import MissingFileError
from .headers import Size, check_images, names_in, size_of, with_bar
from .report import Report, similar

VOC_COUNTS = {
    ('VOC2007', 'trainval'): 5011,
    ('VOC2007', 'test'): 4952,
    ('VOC2012', 'trainval'): 11540,
}
VOC_CLASSES = (
    'aeroplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'diningtable',
    'dog',
    'horse',
    'motorbike',
    'person',
    'pottedplant',
    'sheep',
    'sofa',
    'train',
    'tvmonitor',
)


def check_voc(
    root: Path,
    counts: str = 'official',
    classes: Sequence[str] = VOC_CLASSES,
    images: bool = False,
) -> Report:
    """Check that VOC 07+12 is complete and usable for evaluation.

    Args:
        root (Path): Folder of VOC2007 and VOC2012.
        counts (str): 'official' to warn of other numbers of images, or
            'any'. Defaults to 'official'.
        classes (Sequence[str]): Allowed class names. Defaults to VOC's
            twenty.
        images (bool): Whether to decode every image instead of reading the
            headers of a sample. Defaults to False.

    Raises:
        MissingFileError: If ``root`` does not exist.
    """
    if not root.is_dir():
        raise MissingFileError(
            f"no folder '{root}': name VOC's with --root, "
            'or unpack its archives with --archives'
        )
    report = Report()
    lists = {}
    for (year, split), official in VOC_COUNTS.items():
        lists[year, split] = _check_split(
            report,
            root / year,
            split,
            official if counts == 'official' else None,
            classes,
            images,
        )
    both = {*lists['VOC2007', 'trainval']} & {*lists['VOC2007', 'test']}
    if both:
        report.warnings.append(
            f'VOC2007: {len(both)} images are in trainval and in test: '
            f'the test contains training images, e.g. {min(both)}'
        )
    return report


def _check_split(
    report: Report,
    folder: Path,
    split: str,
    official: int | None,
    classes: Sequence[str],
    images: bool,
) -> list[str]:
    """Check a split; returns the names of its images."""
    before = len(report.faults)
    pictures, annotations = (
        names_in(folder / part) for part in ('JPEGImages', 'Annotations')
    )
    for part, names in (('JPEGImages', pictures), ('Annotations', annotations)):
        if names is None:
            fault = f"no folder '{folder / part}'"
            if fault not in report.faults:
                report.faults.append(fault)
    path = folder / 'ImageSets' / 'Main' / f'{split}.txt'
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        report.faults.append(f"no list of images '{path}'")
        return []
    ids = (
        [line.rstrip('\r') for line in text.removesuffix('\n').split('\n')]
        if text
        else []
    )
    what = f'{folder.name} {split}'
    if not ids:
        report.faults.append(f"'{path}' lists no image")
    if len({*ids}) < len(ids):
        report.faults.append(f"'{path}' lists an image twice")
    if official:
        report.count(what, len(ids), official)
    if pictures is None or annotations is None:
        return ids
    labels: list[str | None] = []  # class of each object
    odd: Counter[tuple[str, str]] = Counter()
    files, sizes = [], []
    for line, name in enumerate(with_bar(ids, what), 1):
        image, xml = f'{name}.jpg', f'{name}.xml'
        if xml not in annotations and _not_only_a_name(name):
            report.faults.append(
                f"'{path}': line {line} is {name!r}: mmdet "
                'needs the name of an image and nothing else'
            )
            continue
        size: Size = (None, None)
        if xml not in annotations:
            report.faults.append(f"no annotation '{folder / 'Annotations' / xml}'")
        else:
            entry = _Annotation(
                folder / 'Annotations' / xml, folder / 'JPEGImages' / image
            )
            report.faults += entry.faults(classes, labels, odd)
            size = entry.size
        if image in pictures:
            files.append(folder / 'JPEGImages' / image)
            sizes.append(size)
        else:
            report.faults.append(f"no image '{folder / 'JPEGImages' / image}'")
    check_images(report, what, files, sizes, images)
    for (kind, text), count in odd.items():
        getattr(report, kind).append(f'{what}: {count} {text}')
    if len(report.faults) == before:
        report.good.append(
            f'{what}: {len(ids)} images, {len(labels)} objects, '
            f'{len({*labels})} classes: good'
        )
    return ids


def _not_only_a_name(name: str) -> bool:
    """Whether a line is empty or has more than a name."""
    return name.split() != [name] or name.startswith('\ufeff')


class _Annotation:
    """XML annotation of an image."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self.image = image
        self.size: Size = (None, None)

    def faults(
        self, classes: Sequence[str], labels: list[str | None], odd: Counter
    ) -> Iterator[str]:
        """Anything that mmdet fails on or leaves out.

        Appends the classes of the objects to ``labels`` and counts notes and
        warnings in ``odd``, by kind and text.
        """
        try:
            root = ET.parse(self.path).getroot()
        except (ET.ParseError, OSError, ValueError, LookupError) as error:
            yield f"'{self.path}' is not XML: {error}"
            return
        if root.find('size') is None:  # mmdet then reads the image
            size = size_of(self.image)
        else:
            size = _number(root, 'size/width'), _number(root, 'size/height')
            texts = [
                root.findtext(f'size/{key}', '').strip() for key in ('width', 'height')
            ]
            if not all(text.isdecimal() and int(text) for text in texts):
                yield f"'{self.path}' has no size of the image"
                return
            self.size = size
        for number, entry in enumerate(root.findall('object'), 1):
            labels.append(entry.findtext('name'))
            for fault in _object(entry, classes, size, odd):
                yield f"'{self.path}': object {number} {fault}"


def _object(
    entry: ET.Element, classes: Sequence[str], size: Size, odd: Counter
) -> Iterator[str]:
    name = entry.findtext('name')
    if name not in classes:
        alike = similar(name or '', classes)
        yield f"is of an unknown class '{name}'" + (
            f": did you mean '{alike}'?" if alike else ''
        )
    difficult = entry.findtext('difficult', '0').strip()
    if difficult not in ('0', '1'):
        yield f"has difficult '{difficult}', not 0 or 1"
    box = [_number(entry, f'bndbox/{key}') for key in ('xmin', 'ymin', 'xmax', 'ymax')]
    width, height = (side or math.inf for side in size)
    # comparisons with NaN are False
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        text = ' '.join(f'{x:g}' for x in box)
        yield f'has the box {text} in an image of {width:g}x{height:g}'
    elif min(box[:2]) < 1:
        odd[
            'warnings',
            "objects start at 0, but VOC's boxes count from 1: "
            'mmdet subtracts 1, so these are off by a pixel',
        ] += 1


def _number(element: ET.Element, path: str) -> float:
    try:
        return float(element.findtext(path, 'nan'))
    except ValueError:
        return math.nan
