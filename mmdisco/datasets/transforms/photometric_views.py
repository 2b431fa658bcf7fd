import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from mmdisco.errors import InputError
from ..transforms import photometric_views as ops
from .view_recipe import ViewParams, build_recipes


def pil_gaussian_kernel(sigma: np.ndarray | Tensor, max_sigma: float) -> np.ndarray:
    """Kernels of PIL's Gaussian blur, one a sample.

    PIL runs an extended box filter three times
    (https://www.mia.uni-saarland.de/Publications/gwosdek-ssvm11.pdf), whose
    variance is ``sigma ** 2`` however small ``sigma`` is. A Gaussian sampled
    at the pixels is another kernel below 0.7.

    Args:
        sigma (np.ndarray or Tensor): Deviations in pixels, [N].
        max_sigma (float): Which no deviation exceeds; fixes the length.

    Returns:
        np.ndarray: Kernels [N, K], K odd, each of sum 1, float32.
    """
    variance = np.asarray(sigma, np.float64)[:, None] ** 2 / 3  # of one box
    whole = np.floor(np.sqrt(12 * variance + 1) / 2 - 0.5)  # [N, 1]
    # the outermost two weights are less than 1, as the variance demands
    rest = (
        (2 * whole + 1)
        * (variance - whole * (whole + 1) / 3)
        / (2 * ((whole + 1) ** 2 - variance))
    )
    reach = math.floor(math.sqrt(4 * max_sigma**2 + 1) / 2 - 0.5) + 1
    offset = np.abs(np.arange(-reach, reach + 1))
    box = np.clip(whole + 1 + rest - offset, 0, 1) / (2 * (whole + rest) + 1)
    kernel = [np.convolve(np.convolve(row, row), row) for row in box]
    return np.asarray(kernel, np.float32).reshape(len(box), 6 * reach + 1)


LEVELS = np.arange(256, dtype=np.float32)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _blend(image: np.ndarray, other: float, factor: float) -> np.ndarray:
    """Image * factor + other * (1 - factor), cut off as PIL does."""
    table = other + (LEVELS - other) * np.float32(factor)
    return cv2.LUT(image, table.clip(0, 255).astype(np.uint8))


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black."""
    return _blend(image, 0.0, factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean of the grey image."""
    mean: Any = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return _blend(image, np.floor(mean[0] + 0.5), factor)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image."""
    matrix = np.empty((3, 4), np.float32)
    matrix[:, :3] = (1 - factor) * LUMA + factor * np.eye(3)
    matrix[:, 3] = -0.499  # PIL cuts off where OpenCV rounds
    return cv2.transform(image, matrix)


def adjust_hue(image: np.ndarray, factor: float) -> np.ndarray:
    """Turn the hue; a whole turn is 256 steps."""
    hsv: Any = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(int(factor * 255) % 256)  # wraps, as a hue should
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def to_gray(image: np.ndarray) -> np.ndarray:
    """Three equal channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def gaussian_blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Blur with a kernel [K] in both directions; the border is repeated."""
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


def solarize(image: np.ndarray, threshold: int = 128) -> np.ndarray:
    """Invert values from the threshold on."""
    return cv2.LUT(
        image, np.where(LEVELS < threshold, LEVELS, 255 - LEVELS).astype(np.uint8)
    )


def mirror(image: np.ndarray) -> np.ndarray:
    """Swap left and right."""
    return cv2.flip(image, 1)


PARTS = (
    ops.adjust_brightness,
    ops.adjust_contrast,
    ops.adjust_saturation,
    ops.adjust_hue,
)


@TRANSFORMS.register_module()
class PhotometricViews(BaseTransform):
    """Colours, blurs and mirrors the crops of :class:`LoadCrops` on the CPU.

    Parameters come from torch's generator, which mmengine seeds differently
    in each worker of each rank.

    **Modified keys:** img, now a list of RGB arrays, uint8 [H, W, 3].

    Args:
        num_views (int): Crops of an image. Defaults to 2.
        views (Sequence[dict]): Arguments of :class:`ViewRecipe`, of each view
            or once for all. Defaults to MoCo-v2's.

    Raises:
        InputError: If a recipe can't be used.
    """

    def __init__(self, num_views: int = 2, views: Sequence[dict] = (dict(),)) -> None:
        self.recipes = build_recipes(views, num_views)

    def transform(self, results: dict) -> dict:
        """Replace each crop by its view.

        Args:
            results (dict): With ``img``, uint8 tensors [3, H, W].

        Returns:
            dict: The same.

        Raises:
            InputError: If there are more or fewer crops than views.
        """
        crops = results['img']
        if len(crops) != len(self.recipes):
            raise InputError(
                f'{len(crops)} crops of an image for num_views={len(self.recipes)}'
            )
        results['img'] = [
            augment(np.ascontiguousarray(crop.permute(1, 2, 0).numpy()), recipe.draw(1))
            for crop, recipe in zip(crops, self.recipes)
        ]  # [H, W, 3] each
        return results


def augment(image: np.ndarray, params: ViewParams) -> np.ndarray:
    """Do to an image what was drawn for it.

    Args:
        image (np.ndarray): RGB, uint8 [H, W, 3].
        params (ViewParams): Of one view.

    Returns:
        np.ndarray: Of the same kind.
    """
    if params.jitter:
        factors = params.factors[0].tolist()
        for part in params.order[0].tolist():
            image = PARTS[part](image, factors[part])
    if params.gray:
        image = ops.to_gray(image)
    if params.blur:
        kernel = pil_gaussian_kernel(params.sigma, params.sigma.item())
        image = ops.gaussian_blur(image, kernel[0])
    if params.solarize:
        image = ops.solarize(image)
    return ops.mirror(image) if params.flip else image
