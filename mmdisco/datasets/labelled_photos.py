import logging
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from mmdisco.errors import InputError, MissingFileError
from .decode import reason_of
from .listing import EXTENSIONS, class_folders, list_images
from .photos import Photos
from .transforms.load_photo import other_loader

FLAT = 'outside class folders'


@DATASETS.register_module()
class LabelledPhotos(CustomDataset):
    """A folder of class folders, labelled by their names in sorted order.

    The labels are those of torchvision's ``ImageFolder`` and, of ImageNet,
    mmpretrain's. Hidden folders are not classes. One line of the log counts
    the files that were found, taken and, by reason, left out:
    :mod:`mmdisco.datasets.listing`.

    An image that can't be read is an error, not skipped as by
    :class:`Photos`: a score of other images than told is none.

    Args:
        data_root (str): The folder. Defaults to ''.
        data_prefix (str): Folder below ``data_root``, 'train' or 'val'.
            Defaults to ''.
        num_classes (int, optional): How many class folders there must be.
            Defaults to None: any.
        ann_file (str): A list of the images to take, below ``data_root``, one
            a line: 'path label', or 'path', whose first folder is the class,
            or 'class_name.JPEG' as in SimCLR's lists of ImageNet's 1 % and
            10 %. Defaults to '': all images.
        num_images (int, optional): How many images there must be. Defaults to
            None: any.
        pipeline (Sequence[dict]): Transforms. Defaults to ().

    Raises:
        MissingFileError: If there is no such folder or list.
        InputError: If classes or images are not as told; later, if an image
            can't be read.
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
        folder = Path(data_root, data_prefix).expanduser()
        if not folder.is_dir():
            raise MissingFileError(f"image folder '{folder}' not found: set data_root")
        if ann_file:
            ann_file = str(Path(data_root, ann_file).expanduser())
        self.num_classes = num_classes
        self.num_images = num_images
        super().__init__(
            data_prefix=str(folder),
            ann_file=ann_file,
            metainfo=dict(classes=tuple(class_folders(str(folder)))),
            extensions=EXTENSIONS,
            pipeline=pipeline,
        )
        if other_loader(pipeline):
            print_log(other_loader(pipeline), logger='current', level=logging.WARNING)

    def load_data_list(self) -> list[dict]:
        """``img_path`` and ``gt_label`` of each, by the folders or the list."""
        samples = self._listed() if self.ann_file else self._in_folders()
        if not samples:
            raise InputError(f"list of images '{self.ann_file}' is empty")
        if self.num_images not in (None, len(samples)):
            raise InputError(
                f"'{self.ann_file or self.img_prefix}' has {len(samples)} "
                f'image{"" if len(samples) == 1 else "s"}, num_images of the '
                f'data set is {self.num_images}: give all of them, or set it'
            )
        return [
            dict(img_path=os.path.join(self.img_prefix, path), gt_label=label)
            for path, label in samples
        ]

    def prepare_data(self, index: int) -> dict:
        """What the pipeline makes of one image.

        Raises:
            InputError: If it can't be read.
        """
        try:
            return super().prepare_data(index)
        except Exception as error:  # any decoder has exceptions of its own
            path = self.get_data_info(index)['img_path']
            if Photos._is_readable(path):
                raise
            name = f"'{path}'"
            raise InputError(
                f"image {name} can't be read ({reason_of(error, name)}): "
                'replace or remove it'
            ) from error

    def _in_folders(self) -> list[tuple[str, int]]:
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
                f"'{self.ann_file}' has '{line}', but '{self.img_prefix}' no "
                f"class folder '{name}': write 'path label', 'class/name' or "
                "'class_name' in each line"
            )
        return line if below else f'{name}/{line}', self._labels[name]

    @cached_property
    def _labels(self) -> dict[str, int]:
        """Of the class folders, whose number counts only where it is used."""
        found, wanted = len(self.CLASSES), self.num_classes
        if not found or wanted not in (None, found):
            told = '' if wanted is None else f', num_classes is {wanted}'
            raise InputError(
                f"'{self.img_prefix}' has {found} class folder"
                f'{"" if found == 1 else "s"}{told}: set data_root to images '
                'in one folder for each class, or num_classes of the data set '
                'and model.head'
            )
        return self.class_to_idx
