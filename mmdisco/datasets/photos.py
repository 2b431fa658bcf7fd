"""Dataset of a folder of unlabelled images."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from mmdisco.errors import InputError, MissingFileError
from .decode import is_readable, reason_of
from .listing import EXTENSIONS, list_images
from .packed import describe, is_packed, open_packed
from .packed.remote import is_url, join
from .transforms.load_photo import warn_other_loader


def image_folder(data_root: str, data_prefix: str) -> str:
    """Folder of a dataset's images, or address of packed ones.

    Args:
        data_root (str): The folder; '~' is the user's.
        data_prefix (str): Folder below ``data_root``.

    Raises:
        MissingFileError: If the folder does not exist.
    """
    if is_url(data_root):
        return join(data_root, data_prefix) if data_prefix else data_root
    folder = Path(data_root, data_prefix).expanduser()
    if not folder.is_dir():
        raise MissingFileError(f"image folder '{folder}' not found: set data_root")
    return str(folder)


@DATASETS.register_module()
class Photos(CustomDataset):
    """A folder of images: any depth, no annotation file, no labels.

    One log line counts the files found, used and, by reason, left out:
    :mod:`mmdisco.datasets.listing`. In training, an unreadable image is
    replaced by another one; one warning per file names it and counts those
    skipped so far.

    The folder may also be one of packed images (``mmdisco pack``), or its address;
    they are listed in the order of their names before packing.

    Args:
        data_root (str): The folder. Defaults to ''.
        data_prefix (str): Folder below ``data_root``. Defaults to ''.
        extensions (Sequence[str]): Extensions of images, in any case.
            Defaults to those of the formats that Pillow reads.
        pipeline (Sequence[dict]): Transforms. Defaults to ().

    Attributes:
        tally (Tally): Counts of the files.
        packed (PackedImages, optional): Index of packed images; None for files.
        rows (np.ndarray): Indices of the images there, [N].

    Raises:
        MissingFileError: If the folder does not exist.
        InputError: If it has no image; in training, if none can be read.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str = '',
        extensions: Sequence[str] = EXTENSIONS,
        pipeline: Sequence[dict] = (),
    ) -> None:
        folder = image_folder(data_root, data_prefix)
        self.packed = open_packed(folder) if is_packed(folder) else None
        if self.packed and tuple(extensions) != EXTENSIONS:
            raise InputError(
                f"'{folder}' holds packed images, extensions={tuple(extensions)} "
                'select files: leave extensions out'
            )
        super().__init__(
            data_prefix=folder,
            with_label=False,
            extensions=extensions,
            pipeline=pipeline,
        )
        warn_other_loader(pipeline)
        # shared memory: the workers count together
        self._unreadable = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def load_data_list(self) -> list[dict]:
        """List ``img_path`` of each image."""
        if self.packed is None:
            return super().load_data_list()
        self.rows = np.arange(len(self.packed))
        self.tally = self.packed.tally()
        print_log(str(self.packed), logger='current')
        return [dict(img_path=self.packed.path(i)) for i in range(len(self.packed))]

    def _find_samples(self) -> list:
        names, self.tally = list_images(self.img_prefix, self.extensions)
        if not names:
            reasons = self.tally.reasons()
            raise InputError(
                f"image folder '{self.img_prefix}' holds no image "
                f'({" ".join(sorted(self.extensions))})'
                + (f'; left out: {reasons}' if reasons else '')
                + ': name a folder of images'
            )
        self.tally.log(self.img_prefix)
        return names

    def prepare_data(self, index: int) -> dict | None:
        """Load one image and apply the pipeline.

        Args:
            index (int): Index of the image.

        Returns:
            dict or None: Result of the pipeline; None if it can't be read.
        """
        try:
            return super().prepare_data(index)
        except InputError:  # a shard: not a fault of the image
            raise
        except Exception as error:  # decoders raise their own exceptions
            path = self.get_data_info(index)['img_path']
            if is_readable(path):
                raise
            if not self._unreadable[index]:
                self._unreadable[index] = True
                name = describe(path)
                # mmengine's loggers of other ranks only log errors
                level = logging.ERROR if get_rank() else logging.WARNING
                print_log(
                    f'Skip {name}, not a readable image '
                    f'({int(self._unreadable.sum())} of {len(self)} skipped '
                    f'so far): {reason_of(error, name)}',
                    logger='current',
                    level=level,
                )
            if self._unreadable.all():
                raise InputError(
                    f"none of the {len(self)} images in '{self.img_prefix}' can be read"
                ) from error
            return None
