import logging
from pathlib import Path
from typing import Optional, Sequence

import torch
from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from mmdisco.errors import InputError, MissingFileError


@DATASETS.register_module()
class Photos(CustomDataset):
    """A folder of images: any depth, no annotation file, no labels.

    An image that can't be read is skipped: another one takes its place, and
    one warning names the file and counts those skipped so far.

    Args:
        data_root (str): The folder. Defaults to ''.
        data_prefix (str): Folder below ``data_root``. Defaults to ''.
        extensions (Sequence[str]): Of the files taken, in any case.
        pipeline (Sequence[dict]): Transforms. Defaults to ().

    Raises:
        MissingFileError: If there is no such folder.
        InputError: If it holds no image; in training, if none can be read.
    """

    def __init__(self,
                 data_root: str = '',
                 data_prefix: str = '',
                 extensions: Sequence[str] = ('.jpg', '.jpeg', '.png', '.ppm',
                                              '.bmp', '.pgm', '.tif', '.tiff',
                                              '.webp'),
                 pipeline: Sequence[dict] = ()) -> None:
        folder = Path(data_root, data_prefix).expanduser()
        if not folder.is_dir():
            raise MissingFileError(f"image folder '{folder}' not found: set "
                                   'data_root')
        super().__init__(
            data_prefix=str(folder),
            with_label=False,
            extensions=extensions,
            pipeline=pipeline)
        # shared, so that the workers count together
        self._unreadable = torch.zeros(
            len(self), dtype=torch.bool).share_memory_()

    def _find_samples(self) -> list:
        try:
            return super()._find_samples()
        except RuntimeError as error:
            raise InputError(
                f"image folder '{self.img_prefix}' holds no image "
                f"({' '.join(sorted(self.extensions))})") from error

    def prepare_data(self, index: int) -> Optional[dict]:
        """Load one image; None if it can't be read.

        Args:
            index (int): Which one.

        Returns:
            dict or None: What the pipeline makes of it.
        """
        try:
            return super().prepare_data(index)
        except Exception as error:  # any decoder has exceptions of its own
            path = self.get_data_info(index)['img_path']
            if self._is_readable(path):
                raise
            if not self._unreadable[index]:
                self._unreadable[index] = True
                # mmengine's loggers of other ranks say errors only
                level = logging.ERROR if get_rank() else logging.WARNING
                print_log(
                    f"Skip '{path}', not a readable image "
                    f'({int(self._unreadable.sum())} of {len(self)} skipped '
                    f'so far): {error}',
                    logger='current',
                    level=level)
            if self._unreadable.all():
                raise InputError(
                    f"none of the {len(self)} images in '{self.data_root}' "
                    'can be read') from error
            return None

    @staticmethod
    def _is_readable(path: str) -> bool:
        from PIL import Image
        try:
            with Image.open(path) as image:
                image.load()
        except Exception:
            return False
        return True
