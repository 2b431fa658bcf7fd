"""Write synthetic scenes in the layouts of VOC and COCO."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .scene import Scene, Scenes

QUALITY = 90  # of JPEG


def write_voc(
    folder: Path, scenes: dict[str, tuple[Scenes, int]], names: Sequence[str]
) -> dict[str, list]:
    """Write images in the layout of VOC's devkit.

    The training images alternate between the trainval of 2007 and of 2012.
    Their names do not depend on their number: odd numbers in the trainval of
    2007, even numbers in its test.

    Args:
        folder (Path): Existing folder, as ``data/VOCdevkit``.
        scenes (dict): Scenes and their number, for 'train' and 'test'.
        names (Sequence[str]): Name of each class.

    Returns:
        dict: Labels of the objects of each image, by split.
    """
    lists: dict[tuple[str, str], list[str]] = {
        ('VOC2007', 'trainval'): [],
        ('VOC2007', 'test'): [],
        ('VOC2012', 'trainval'): [],
    }
    labels: dict[str, list] = {split: [] for split in scenes}
    for year in ('VOC2007', 'VOC2012'):
        for part in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
            (folder / year / part).mkdir(parents=True)
    for split, (of_split, count) in scenes.items():
        for index in range(count):
            if split == 'test':
                year, name = 'VOC2007', f'{2 * index + 2:06}'
            elif index % 2 == 0:
                year, name = 'VOC2007', f'{index + 1:06}'
            else:
                year, name = 'VOC2012', f'2008_{index // 2 + 1:06}'
            scene = of_split[index]
            labels[split].append(scene.labels)
            lists[year, 'test' if split == 'test' else 'trainval'].append(name)
            Image.fromarray(scene.image).save(
                folder / year / 'JPEGImages' / f'{name}.jpg', quality=QUALITY
            )
            tree = _annotation(year, f'{name}.jpg', scene, names)
            tree.write(folder / year / 'Annotations' / f'{name}.xml')
    for (year, split), ids in lists.items():
        path = folder / year / 'ImageSets' / 'Main' / f'{split}.txt'
        path.write_text(''.join(f'{name}\n' for name in ids))
    return labels


def _annotation(
    year: str, file: str, scene: Scene, names: Sequence[str]
) -> ET.ElementTree:
    """XML of the devkit: corners count from 1 and are inclusive."""
    root = ET.Element('annotation')
    _add(root, folder=year, filename=file)
    _add(
        ET.SubElement(root, 'source'),
        database='mmdisco pasted',
        annotation=year,
        image='mmdisco',
    )
    height, width, depth = scene.image.shape
    _add(ET.SubElement(root, 'size'), width=width, height=height, depth=depth)
    _add(root, segmented=0)
    for label, box in zip(scene.labels, scene.boxes()):
        entry = ET.SubElement(root, 'object')
        _add(entry, name=names[label], pose='Unspecified', truncated=0, difficult=0)
        corners = zip(('xmin', 'ymin', 'xmax', 'ymax'), box)
        _add(
            ET.SubElement(entry, 'bndbox'), **{key: value + 1 for key, value in corners}
        )
    ET.indent(root, '\t')
    return ET.ElementTree(root)


def _add(parent: ET.Element, **texts) -> None:
    for key, text in texts.items():
        ET.SubElement(parent, key).text = str(text)


def write_coco(
    folder: Path, scenes: dict[str, tuple[Scenes, int]], names: Sequence[str]
) -> dict[str, list]:
    """Write images and annotations in the layout of COCO 2017.

    Args:
        folder (Path): Existing folder, as ``data/coco``.
        scenes (dict): Scenes and their number, for 'train' and 'test'; the
            test images become val2017.
        names (Sequence[str]): Name of each class.

    Returns:
        dict: Labels of the objects of each image, by split.
    """
    labels: dict[str, list] = {split: [] for split in scenes}
    (folder / 'annotations').mkdir()
    for split, (of_split, count) in scenes.items():
        year = 'val2017' if split == 'test' else 'train2017'
        (folder / year).mkdir()
        images: list[dict] = []
        annotations: list[dict] = []
        for number in range(1, count + 1):
            scene = of_split[number - 1]
            labels[split].append(scene.labels)
            file = f'{number:012}.jpg'
            Image.fromarray(scene.image).save(folder / year / file, quality=QUALITY)
            height, width = scene.image.shape[:2]
            images.append(
                dict(license=1, file_name=file, height=height, width=width, id=number)
            )
            for label, mask, box in zip(scene.labels, scene.masks, scene.boxes()):
                left, top, right, bottom = box
                annotations.append(
                    dict(
                        segmentation=run_lengths(mask),
                        area=int(mask.sum()),
                        iscrowd=0,
                        image_id=number,
                        bbox=[left, top, right - left + 1, bottom - top + 1],
                        category_id=label + 1,
                        id=len(annotations) + 1,
                    )
                )
        content = dict(
            info=dict(description='Garments of Fashion-MNIST in photographs'),
            licenses=[dict(id=1, name='see set.json', url='')],
            images=images,
            annotations=annotations,
            categories=[
                dict(supercategory='object', id=i, name=name)
                for i, name in enumerate(names, 1)
            ],
        )
        path = folder / 'annotations' / f'instances_{year}.json'
        path.write_text(json.dumps(content))
    return labels


def run_lengths(mask: np.ndarray) -> dict:
    """Encode a mask, bool [H, W], as COCO's uncompressed run lengths.

    Unlike polygons, they preserve every pixel and hole.
    """
    pixels = np.concatenate([[False], mask.ravel('F')])  # [1 + H * W]
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return dict(size=list(mask.shape), counts=counts.tolist())
