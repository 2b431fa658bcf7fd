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
    """Check that VOC 07+12 is there, whole, and can be evaluated on.

    Args:
        root (Path): Folder of VOC2007 and VOC2012.
        counts (str): 'official' to warn of other numbers of images, or
            'any'. Defaults to 'official'.
        classes (Sequence[str]): Names that objects may have. Defaults to
            VOC's twenty.
        images (bool): Whether to open each image, not the headers of a few.
            Defaults to False.

    Raises:
        MissingFileError: If there is no such root.
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
            f'VOC2007: {len(both)} images are in trainval '
            'and in test: they are tested on what they '
            f'were learned from, e.g. {min(both)}'
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
    """Check a split; the names of its images."""
    before = len(report.faults)
    here = {part: names_in(folder / part) for part in ('JPEGImages', 'Annotations')}
    for part, names in here.items():
        if names is None:
            line = f"no folder '{folder / part}'"
            if line not in report.faults:
                report.faults.append(line)
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
    images_here, annotated = here['JPEGImages'], here['Annotations']
    if images_here is None or annotated is None:
        return ids
    found: list[str | None] = []  # the class of each object
    odd: Counter = Counter()
    files, sizes = [], []
    for number, name in enumerate(with_bar(ids, what), 1):
        image, xml = f'{name}.jpg', f'{name}.xml'
        if xml not in annotated and _not_alone(name):
            report.faults.append(
                f"'{path}': line {number} is {name!r}: mmdet "
                'wants the name of an image, and no more'
            )
            continue
        size: Size = (None, None)
        if xml not in annotated:
            report.faults.append(f"no annotation '{folder / 'Annotations' / xml}'")
        else:
            entry = _Annotation(
                folder / 'Annotations' / xml, folder / 'JPEGImages' / image
            )
            report.faults += entry.faults(classes, found, odd)
            size = entry.size
        if image in images_here:
            files.append(folder / 'JPEGImages' / image)
            sizes.append(size)
        else:
            report.faults.append(f"no image '{folder / 'JPEGImages' / image}'")
    check_images(report, what, files, sizes, images)
    for (kind, text), count in odd.items():
        getattr(report, kind).append(f'{what}: {count} {text}')
    if len(report.faults) == before:
        report.good.append(
            f'{what}: {len(ids)} images, {len(found)} objects, '
            f'{len({*found})} classes: good'
        )
    return ids


def _not_alone(name: str) -> bool:
    """Whether a line has more than a name, or nothing."""
    return name.split() != [name] or name.startswith('\ufeff')


class _Annotation:
    """An XML file of an image."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self.image = image
        self.size: Size = (None, None)

    def faults(
        self, classes: Sequence[str], found: list[str | None], odd: Counter
    ) -> Iterator[str]:
        """What mmdet stops at or leaves out.

        The classes of its objects go to ``found``, what is not a fault to
        ``odd``, by kind and text.
        """
        try:
            root = ET.parse(self.path).getroot()
        except (ET.ParseError, OSError, ValueError, LookupError) as error:
            yield f"'{self.path}' is not XML: {error}"
            return
        if root.find('size') is None:  # mmdet then asks the image
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
            found.append(entry.findtext('name'))
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
    # not a number compares as False
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        text = ' '.join(f'{x:g}' for x in box)
        yield f'has the box {text} in an image of {width:g}x{height:g}'
    elif min(box[:2]) < 1:
        odd[
            'warnings',
            "objects begin at 0, where VOC's boxes count from 1: "
            'mmdet subtracts 1, and theirs are a pixel off',
        ] += 1


def _number(element: ET.Element, path: str) -> float:
    try:
        return float(element.findtext(path, 'nan'))
    except ValueError:
        return math.nan
