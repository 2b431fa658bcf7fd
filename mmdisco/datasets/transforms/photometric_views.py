"""Photometric augmentation of crops on the CPU with OpenCV."""

import math
from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from mmdisco.errors import InputError
from .view_recipe import OneView, build_recipes


def pil_gaussian_kernel(sigma: np.ndarray, max_sigma: float) -> np.ndarray:
    """Kernels of PIL's Gaussian blur, one per sample.

    PIL applies an extended box filter three times
    (https://www.mia.uni-saarland.de/Publications/gwosdek-ssvm11.pdf). Its
    variance is ``sigma ** 2`` also for small ``sigma``; below 0.7 a Gaussian
    sampled at the pixels is another kernel.

    Args:
        sigma (np.ndarray): Standard deviations in pixels, [N].
        max_sigma (float): Upper bound of ``sigma``; determines the length K.

    Returns:
        np.ndarray: Kernels [N, K], K odd, each with sum 1, float32.
    """
    variance = np.asarray(sigma, np.float64)[:, None] ** 2 / 3  # of one box
    whole = np.floor(np.sqrt(12 * variance + 1) / 2 - 0.5)  # [N, 1]
    # the outermost two weights are below 1 and set the variance
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
    """Image * factor + other * (1 - factor), truncated as in PIL."""
    table = other + (LEVELS - other) * np.float32(factor)
    return cv2.LUT(image, table.clip(0, 255).astype(np.uint8))


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black."""
    return _blend(image, 0.0, factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean of the grey image."""
    means = cast(Sequence[float], cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)))
    return _blend(image, np.floor(means[0] + 0.5), factor)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image."""
    matrix = np.empty((3, 4), np.float32)
    matrix[:, :3] = (1 - factor) * LUMA + factor * np.eye(3)
    matrix[:, 3] = -0.499  # PIL truncates, OpenCV rounds
    return cv2.transform(image, matrix)


def adjust_hue(image: np.ndarray, factor: float) -> np.ndarray:
    """Rotate the hue by a fraction of a turn; a turn has 256 steps."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hue: np.ndarray = hsv[..., 0]
    hue += np.uint8(int(factor * 255) % 256)  # wraps around
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def to_gray(image: np.ndarray) -> np.ndarray:
    """Convert to grey, with three equal channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def gaussian_blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Blur with a kernel [K] in both directions, with border replication."""
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


def solarize(image: np.ndarray, threshold: int = 128) -> np.ndarray:
    """Invert values at or above the threshold."""
    return cv2.LUT(
        image, np.where(LEVELS < threshold, LEVELS, 255 - LEVELS).astype(np.uint8)
    )


def mirror(image: np.ndarray) -> np.ndarray:
    """Swap left and right."""
    return cv2.flip(image, 1)


PARTS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


@TRANSFORMS.register_module()
class PhotometricViews(BaseTransform):
    """Photometric augmentation of the crops of :class:`LoadCrops` on the CPU.

    Parameters are drawn from torch's generator, which mmengine seeds
    differently in each worker of each rank.

    **Modified keys:** img, now a list of RGB arrays, uint8 [H, W, 3].

    Args:
        num_views (int): Number of crops of an image. Defaults to 2.
        views (Sequence[dict]): Arguments of :class:`ViewRecipe`, for each view
            or once for all. Defaults to MoCo-v2's.

    Raises:
        InputError: If a recipe is invalid.
    """

    def __init__(self, num_views: int = 2, views: Sequence[dict] = (dict(),)) -> None:
        self.recipes = build_recipes(views, num_views)

    def transform(self, results: dict) -> dict:
        """Replace each crop by its view.

        Args:
            results (dict): With ``img``, uint8 tensors [3, H, W].

        Returns:
            dict: ``results`` with ``img`` replaced.

        Raises:
            InputError: If the numbers of crops and views differ.
        """
        crops = results['img']
        if len(crops) != len(self.recipes):
            raise InputError(
                f'{len(crops)} crops of an image for num_views={len(self.recipes)}'
            )
        results['img'] = [
            augment(
                np.ascontiguousarray(crop.permute(1, 2, 0).numpy()), recipe.draw_one()
            )
            for crop, recipe in zip(crops, self.recipes)
        ]  # [H, W, 3] each
        return results


def augment(image: np.ndarray, view: OneView) -> np.ndarray:
    """Apply drawn parameters to an image.

    Args:
        image (np.ndarray): RGB, uint8 [H, W, 3].
        view (OneView): Parameters of the view.

    Returns:
        np.ndarray: RGB, uint8 [H, W, 3].
    """
    if view.jitter:
        for part in view.order:
            image = PARTS[part](image, view.factors[part])
    if view.gray:
        image = to_gray(image)
    if view.blur:
        kernel = pil_gaussian_kernel(np.array([view.sigma]), view.sigma)
        image = gaussian_blur(image, kernel[0])
    if view.solarize:
        image = solarize(image)
    return mirror(image) if view.flip else image
