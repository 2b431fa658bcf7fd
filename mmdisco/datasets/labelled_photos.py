"""Dataset of a folder with one folder per class."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from mmdisco.errors import InputError, MissingFileError
from .decode import is_readable, reason_of
from .listing import EXTENSIONS, class_folders, list_images
from .packed import describe, is_packed, open_packed
from .packed.storage import split_path
from .photos import image_folder
from .transforms.load_photo import warn_other_loader

FLAT = 'outside class folders'


@DATASETS.register_module()
class LabelledPhotos(CustomDataset):
    """A folder of class folders, labelled in sorted order of their names.

    The labels are those of torchvision's ``ImageFolder`` and, for ImageNet,
    mmpretrain's. Hidden folders are not classes. One log line counts the
    files found, used and, by reason, left out:
    :mod:`mmdisco.datasets.listing`.

    An unreadable image is an error, not skipped as by :class:`Photos`: a score
    must be of exactly the specified images.

    The folder may also be one of packed images (``mmdisco pack``) with classes, or
    its address; images and labels are in the same order.

    Args:
        data_root (str): The folder. Defaults to ''.
        data_prefix (str): Folder below ``data_root``, 'train' or 'val'.
            Defaults to ''.
        num_classes (int, optional): Required number of class folders.
            Defaults to None: any.
        ann_file (str): List of the images to use, below ``data_root``, one per
            line: 'path label', 'class/path' or 'class_name.JPEG', as in
            SimCLR's lists of 1 % and 10 % of ImageNet. Defaults to '': all
            images.
        num_images (int, optional): Required number of images. Defaults to
            None: any.
        pipeline (Sequence[dict]): Transforms. Defaults to ().

    Raises:
        MissingFileError: If the folder or the list does not exist.
        InputError: If classes or images are not as specified; later, if an
            image can't be read.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str = '',
        num_classes: int | None = None,
        ann_file: str = '',
        num_images: int | None = None,
        pipeline: Sequence[dict] = (),
    ) -> None:
        folder = image_folder(data_root, data_prefix)
        if ann_file:
            ann_file = str(Path(data_root, ann_file).expanduser())
        self.num_classes = num_classes
        self.num_images = num_images
        self.packed = open_packed(folder) if is_packed(folder) else None
        classes = self.packed.classes if self.packed else class_folders(folder)
        super().__init__(
            data_prefix=folder,
            ann_file=ann_file,
            metainfo=dict(classes=tuple(classes)),
            extensions=EXTENSIONS,
            pipeline=pipeline,
        )
        warn_other_loader(pipeline)

    def load_data_list(self) -> list[dict]:
        """List ``img_path`` and ``gt_label`` of each image."""
        samples = self._listed() if self.ann_file else self._in_folders()
        if not samples:
            raise InputError(f"list of images '{self.ann_file}' is empty")
        if self.num_images not in (None, len(samples)):
            raise InputError(
                f"'{self.ann_file or self.img_prefix}' has {len(samples)} "
                f'image{"" if len(samples) == 1 else "s"}, num_images of the '
                f'dataset is {self.num_images}: complete the images, or set it'
            )
        if self.packed is None:
            paths = [os.path.join(self.img_prefix, path) for path, _ in samples]
        else:
            self.rows = np.array(self._rows([path for path, _ in samples]))  # [N]
            paths = [self.packed.path(row) for row in self.rows]
        return [
            dict(img_path=path, gt_label=label)
            for path, (_, label) in zip(paths, samples)
        ]

    def names(self) -> list[str]:
        """Paths of the images below the folder, before packing if they are packed."""
        paths = [self.get_data_info(i)['img_path'] for i in range(len(self))]
        if self.packed is not None:
            return [split_path(path)[1] for path in paths]
        start = len(os.path.join(self.img_prefix, ''))
        return [path[start:] for path in paths]

    def prepare_data(self, index: int) -> dict:
        """Load one image and apply the pipeline.

        Raises:
            InputError: If it can't be read.
        """
        try:
            return super().prepare_data(index)
        except InputError:  # a shard
            raise
        except Exception as error:  # decoders raise their own exceptions
            path = self.get_data_info(index)['img_path']
            if is_readable(path):
                raise
            name = describe(path)
            raise InputError(
                f"image {name} can't be read ({reason_of(error, name)}): "
                'replace or remove it'
            ) from error

    def _rows(self, names: list[str]) -> list[int]:
        """Indices of packed images by their names before packing."""
        assert self.packed is not None
        rows = {name: row for row, name in enumerate(self.packed.names)}
        missing = [name for name in names if name not in rows]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(names)} images that '{self.ann_file}' lists "
                f"are not in '{self.img_prefix}', e.g. '{missing[0]}': pack them, or "
                'use another list'
            )
        return [rows[name] for name in names]

    def _in_folders(self) -> list[tuple[str, int]]:
        if self.packed is not None:
            print_log(str(self.packed), logger='current')
            order = self.packed.class_order()
            names, classes = self.packed.names, self.packed.labels
            assert self._labels and classes is not None  # checks their number
            return [(names[i], int(classes[i])) for i in order]
        labels = self._labels
        names, tally = list_images(self.img_prefix)
        paths = [name.split('/', 1) for name in names if '/' in name]
        tally.drop(len(names) - len(paths), FLAT)
        tally.log(self.img_prefix)
        empty = {*labels} - {path[0] for path in paths}
        if empty:
            raise InputError(
                f"'{self.img_prefix}' has class folders without an image, "
                f"{len(empty)} of {len(self.CLASSES)}, e.g. '{min(empty)}': "
                f'fill or remove them ({" ".join(EXTENSIONS)})'
            )
        return [('/'.join(path), labels[path[0]]) for path in sorted(paths)]

    def _listed(self) -> list[tuple[str, int]]:
        if not Path(self.ann_file).is_file():
            raise MissingFileError(
                f"list of images '{self.ann_file}' not "
                'found: set ann_file, or see '
                'docs/evaluation.md'
            )
        text = Path(self.ann_file).read_text(errors='replace')
        lines = filter(None, map(str.strip, text.splitlines()))
        return [self._sample(line) for line in lines]

    def _sample(self, line: str) -> tuple[str, int]:
        path, _, label = line.rpartition(' ')
        if path and label.isdecimal():
            if self.num_classes and int(label) >= self.num_classes:
                raise InputError(
                    f"'{self.ann_file}' has '{line}', num_classes is "
                    f'{self.num_classes}: labels begin with 0'
                )
            return path, int(label)
        name, below, _ = line.partition('/')
        if not below:
            name = line.rpartition('_')[0]
        if name not in self._labels:
            raise InputError(
                f"'{self.ann_file}' has '{line}', but '{self.img_prefix}' has no "
                f"class folder '{name}': write 'path label', 'class/name' or "
                "'class_name' in each line"
            )
        return line if below else f'{name}/{line}', self._labels[name]

    @cached_property
    def _labels(self) -> dict[str, int]:
        """Label of each class folder; checks their number when first used."""
        count, required = len(self.CLASSES), self.num_classes
        if not count or required not in (None, count):
            setting = '' if required is None else f', num_classes is {required}'
            raise InputError(
                f"'{self.img_prefix}' has {count} class folder"
                f'{"" if count == 1 else "s"}{setting}: set data_root to images '
                'in one folder for each class, or num_classes of the dataset '
                'and model.head'
            )
        return self.class_to_idx
