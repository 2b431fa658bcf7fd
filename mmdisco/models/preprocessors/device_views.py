"""Views of batches of crops, computed on the model's device."""

from collections.abc import Sequence

import torch
from mmengine.dist import get_rank
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.registry import MODELS

from mmdisco.datasets.transforms import build_recipes
from mmdisco.errors import InputError


@MODELS.register_module()
class DeviceViews(SelfSupDataPreprocessor):
    """Turns batches of crops into views on the model's device.

    Each image has its own parameters, including the order of the colour jitter.
    They are drawn on the CPU from torch's generator, so a seed gives the same
    views on any device, and the host never waits for the device. Ranks with the
    same seed draw different parameters. Computes in fp32, also under autocast,
    and without PIL's rounding down after each step, so images are about one
    level of 256 brighter.

    Args:
        num_views (int): Views of an image. Defaults to 2.
        views (Sequence[dict]): Arguments of :class:`ViewRecipe` for each view,
            or one dict for all. Defaults to MoCo-v2's.
        mean (Sequence[float], optional): Means of R, G, B, 0 to 255. Defaults
            to None.
        std (Sequence[float], optional): Deviations of R, G, B, 0 to 255.
            Defaults to None.

    Raises:
        InputError: If a recipe is not valid.
    """

    def __init__(
        self,
        num_views: int = 2,
        views: Sequence[dict] = (dict(),),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__(mean=mean, std=std, non_blocking=True)
        self.recipes = build_recipes(views, num_views)

    @torch.no_grad()
    def forward(self, data: dict, training: bool = False) -> dict:
        """Make views in training, or only normalise.

        Args:
            data (dict): ``inputs``, RGB crops, uint8: a list of [N, 3, H, W],
                one for each view, or outside training a tensor.
            training (bool): Whether to make views. Defaults to False.

        Returns:
            dict: ``inputs``, normalised fp32, a list or a tensor like the
            input; and ``data_samples``, if there are any.

        Raises:
            InputError: If the numbers of crops and views differ.
        """
        data = self.cast_data(data)
        crops = data['inputs']
        views = [crops] if torch.is_tensor(crops) else list(crops)
        if training and len(views) != len(self.recipes):
            raise InputError(
                f'{len(views)} crops of an image for num_views={len(self.recipes)}: '
                'set both to the same number'
            )
        with torch.autocast(views[0].device.type, enabled=False):
            views = [view.float().div_(255) for view in views]
            if training:
                # importing kornia takes a quarter of a second
                from .augment_batch import augment_

                for view, recipe in zip(views, self.recipes):
                    augment_(view, recipe.draw(len(view), _generator()))
            views = [self._normalize(view) for view in views]
        return dict(
            inputs=views[0] if torch.is_tensor(crops) else views,
            data_samples=data.get('data_samples'),
        )

    def _normalize(self, images: torch.Tensor) -> torch.Tensor:
        if not self._enable_normalize:
            return images * 255
        return images.sub_(self.mean / 255).div_(self.std / 255)


def _generator() -> torch.Generator:
    """A generator that follows torch's seed but differs between ranks."""
    seed = int(torch.randint(2**31, ()))
    return torch.Generator().manual_seed(seed + get_rank())
