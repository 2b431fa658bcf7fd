from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from mmdisco.errors import InputError
from . import uint8_ops as ops
from .blur_kernel import pil_gaussian_kernel
from .view_recipe import ViewParams, build_recipes

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
