import io
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import TRANSFORMS, BaseTransform
from mmengine import fileio
from PIL import Image

from mmdisco.datasets.decode import WHITE, to_rgb


@TRANSFORMS.register_module()  # mmcv's: detectors find it, too
class LoadPhoto(BaseTransform):
    """Load an image of any kind, with the pixels that evaluation sees.

    In place of mmcv's ``LoadImageFromFile``, whose pixels it gives for
    ordinary files: see :func:`mmdisco.datasets.decode.to_rgb` for the others.

    **Required keys:** img_path. **Added keys:** img, uint8 [H, W, 3] in BGR;
    img_shape; ori_shape.

    Args:
        background (tuple[int, int, int]): Colour below what is transparent,
            in RGB. Defaults to white.
        backend_args (dict, optional): Of mmengine's file backend.

    Raises:
        ValueError: When called, if the values have no known white. Whatever
            Pillow raises if it can't read the whole file.
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
            pixels = np.array(to_rgb(image, self.background))  # [H, W, 3]
        results['img'] = pixels[..., ::-1]
        results['img_shape'] = results['ori_shape'] = pixels.shape[:2]
        return results


def is_mmcvs_loader(step: dict) -> bool:
    """Whether a pipeline's step loads by mmcv, as configs did before."""
    return (
        step.get('type') == 'LoadImageFromFile'
        and step.get('imdecode_backend') == 'pillow'
    )


def other_loader(pipeline: Sequence[dict]) -> str:
    """What to say of a pipeline that sees other pixels than evaluation.

    Args:
        pipeline (Sequence[dict]): Of a data set.

    Returns:
        str: One line; '' if there is nothing to say.
    """
    if not any(
        isinstance(step, dict) and step.get('type') == 'LoadImageFromFile'
        for step in pipeline
    ):
        return ''
    return (
        'LoadImageFromFile gives other pixels than evaluation for images '
        'with transparency or more than 8 bits: if there are any, load '
        "with dict(type='LoadPhoto')"
    )
