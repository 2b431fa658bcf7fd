"""Check COCO 2017 before training or evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmdisco.errors import MissingFileError
from .coco_file import check_content
from .headers import check_images, names_in
from .report import Report, check_categories

COCO_COUNTS = dict(train2017=118287, val2017=5000)


class Wanted(NamedTuple):
    """Requirements of a training.

    Attributes:
        classes: Names, in the order of the labels; None accepts any if train
            and val agree.
        masks: Whether masks are required; None: if any object has one.
    """

    classes: Sequence[str] | None = None
    masks: bool | None = None


def check_coco(
    root: Path,
    counts: str = 'official',
    images: bool = False,
    wanted: Wanted = Wanted(),
) -> Report:
    """Check that COCO 2017 is complete and usable for evaluation.

    Args:
        root (Path): Folder of annotations, train2017 and val2017.
        counts (str): 'official' to warn of other numbers of images, or
            'any'. Defaults to 'official'.
        images (bool): Whether to decode every image instead of reading the
            headers of a sample. Defaults to False.
        wanted (Wanted): Requirements. Defaults to any classes, with or
            without masks.

    Raises:
        MissingFileError: If ``root`` does not exist.
    """
    if not root.is_dir():
        raise MissingFileError(
            f"no folder '{root}': name COCO's with --root, "
            'or unpack its archives with --archives'
        )
    report = Report()
    before: list[dict] | None = None  # categories of train
    for split, official in COCO_COUNTS.items():
        before = (
            _check_split(
                report,
                root,
                split,
                official if counts == 'official' else None,
                images,
                wanted,
                before,
            )
            or before
        )
    return report


def _check_split(
    report: Report,
    root: Path,
    split: str,
    official: int | None,
    images: bool,
    wanted: Wanted,
    trained: list[dict] | None,
) -> list[dict] | None:
    """Check a split; returns its categories, or None if they are invalid."""
    before = len(report.faults)
    folder = root / split
    names = names_in(folder)
    if names is None:
        report.faults.append(f"no folder '{folder}'")
    path = root / 'annotations' / f'instances_{split}.json'
    content = _content(path, report.faults)
    if content is None:
        return None
    entries, objects = content['images'], content['annotations']
    if official:
        report.count(split, len(entries), official)
    check_content(report, f"'{path}'", content, split == 'val2017', wanted.masks)
    categories = content['categories']
    named = all(isinstance(c, dict) and 'id' in c for c in categories)
    if named:
        _check_classes(report, f"'{path}'", categories, wanted, trained)
    if names is not None:
        files, sizes = [], []
        for entry in entries:
            if not isinstance(entry, dict):
                continue
            file = str(entry.get('file_name'))
            if file in names or (folder / file).is_file():  # in a sub-folder
                files.append(folder / file)
                sizes.append((entry.get('width'), entry.get('height')))
            else:
                report.faults.append(f"no image '{folder / file}'")
        check_images(report, split, files, sizes, images)
    if len(report.faults) == before:
        classes = {o['category_id'] for o in objects}
        report.good.append(
            f'{split}: {len(entries)} images, {len(objects)} '
            f'objects, {len(classes)} classes: good'
        )
    return categories if named else None


def _check_classes(
    report: Report,
    path: str,
    categories: list[dict],
    wanted: Wanted,
    trained: list[dict] | None,
) -> None:
    if wanted.classes is not None or trained is None:
        check_categories(report, path, categories, wanted.classes)
    else:  # both files must list the same classes
        check_categories(
            report,
            path,
            categories,
            [c['name'] for c in trained if isinstance(c.get('name'), str)],
            others='faults',
        )


def _content(path: Path, faults: list[str]) -> dict | None:
    """Content of the file; None if it is not an annotation file."""
    if not path.is_file():
        faults.append(f"no annotations '{path}'")
        return None
    try:
        # as pycocotools: a byte order mark is an error
        content = json.loads(path.read_text('utf-8'))
    except (ValueError, OSError) as error:
        faults.append(f"'{path}' is not JSON: {error}")
        return None
    for key in ('images', 'annotations', 'categories'):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not entries:
            faults.append(f"'{path}' has no list of {key}")
            return None
    return content
