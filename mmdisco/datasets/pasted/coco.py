import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .scene import Scenes
from .voc import QUALITY


def write_coco(
    folder: Path, scenes: dict[str, tuple[Scenes, int]], names: Sequence[str]
) -> dict[str, list]:
    """Write images and annotations as COCO 2017 has them.

    Args:
        folder (Path): Which exists, as ``data/coco``.
        scenes (dict): Scenes and how many of them, of 'train' and 'test';
            the latter become val2017.
        names (Sequence[str]): Name of each class.

    Returns:
        dict: Labels of the objects of each image, by split.
    """
    labels = {split: [] for split in scenes}
    (folder / 'annotations').mkdir()
    for split, (of_split, count) in scenes.items():
        year = 'val2017' if split == 'test' else 'train2017'
        (folder / year).mkdir()
        images, annotations = [], []
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
    """COCO's uncompressed run lengths of a mask, bool, [H, W].

    They keep every pixel and hole, which polygons do not.
    """
    pixels = np.concatenate([[False], mask.ravel('F')])  # [1 + H * W]
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return dict(size=list(mask.shape), counts=counts.tolist())
