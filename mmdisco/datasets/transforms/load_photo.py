"""Loading of an image of any kind."""

import io
import logging
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import TRANSFORMS, BaseTransform
from mmengine import fileio
from mmengine.logging import print_log
from PIL import Image

from mmdisco.datasets.decode import WHITE, to_rgb
from .load_crops import decode_jpeg, is_plain_jpeg


@TRANSFORMS.register_module()  # mmcv's: detectors find it, too
class LoadPhoto(BaseTransform):
    """Load an image of any kind, with the same pixels as in the evaluation.

    Replaces mmcv's ``LoadImageFromFile``. For ordinary files the pixels are
    the same; see :func:`mmdisco.datasets.decode.to_rgb` for others.

    **Required keys:** img_path. **Added keys:** img, uint8 [H, W, 3] in BGR;
    img_shape; ori_shape.

    Args:
        background (tuple[int, int, int]): RGB colour under transparent
            pixels. Defaults to white.
        backend_args (dict, optional): Arguments of mmengine's file backend.
            Defaults to None.

    Raises:
        ValueError: When called, if values are out of range. Pillow's
            exceptions if the file can't be read completely.
    """

    def __init__(
        self,
        background: tuple[int, int, int] = WHITE,
        backend_args: dict | None = None,
    ) -> None:
        self.background = tuple(background)
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Read an image.

        Args:
            results (dict): With ``img_path``.

        Returns:
            dict: With ``img``.
        """
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        with Image.open(io.BytesIO(content)) as image:
            if is_plain_jpeg(image):
                pixels = decode_jpeg(content, image)  # the same, but faster
            else:
                pixels = np.array(to_rgb(image, self.background))  # [H, W, 3]
        # not a view of the RGB array, which is slow to copy and to resize
        results['img'] = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR, pixels)
        results['img_shape'] = results['ori_shape'] = pixels.shape[:2]
        return results


def is_mmcvs_loader(step: dict) -> bool:
    """Whether a pipeline step is mmcv's loader, as in older configs."""
    return (
        step.get('type') == 'LoadImageFromFile'
        and step.get('imdecode_backend') == 'pillow'
    )


def warn_other_loader(pipeline: Sequence[dict]) -> None:
    """Warn if a pipeline loads other pixels than the evaluation.

    Args:
        pipeline (Sequence[dict]): Pipeline of a dataset.
    """
    if any(
        isinstance(step, dict) and step.get('type') == 'LoadImageFromFile'
        for step in pipeline
    ):
        print_log(
            'LoadImageFromFile gives other pixels than evaluation for images '
            'with transparency or more than 8 bits: if there are any, load '
            "with dict(type='LoadPhoto')",
            logger='current',
            level=logging.WARNING,
        )
