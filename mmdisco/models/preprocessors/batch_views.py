from typing import Optional, Sequence

import torch
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class BatchViews(SelfSupDataPreprocessor):
    """Makes the views of a whole batch, on the model's device.

    A pipeline per image costs about a millisecond a view even at 28x28.
    Here a transform draws its parameters for each image and runs once for
    the batch.

    Args:
        transforms (Sequence[dict]): Transforms of float images in [0, 1],
            [N, C, H, W], as `kornia.augmentation.RandomResizedCrop`.
        num_views (int): Views of each image. Defaults to 2.
        mean (Sequence[float], optional): Channel means, 0 to 255.
        std (Sequence[float], optional): Channel deviations, 0 to 255.
        channels (int): Grey images are repeated to so many. Defaults to 3.
    """

    def __init__(self,
                 transforms: Sequence[dict],
                 num_views: int = 2,
                 mean: Optional[Sequence[float]] = None,
                 std: Optional[Sequence[float]] = None,
                 channels: int = 3) -> None:
        super().__init__(mean=mean, std=std)
        self.transforms = nn.Sequential(*map(MODELS.build, transforms))
        self.num_views = num_views
        self.channels = channels

    @torch.no_grad()
    def forward(self, data: dict, training: bool = False) -> dict:
        """Make views in training, or only normalise.

        Args:
            data (dict): ``inputs``, uint8 images [N, C, H, W].
            training (bool): Whether to make views. Defaults to False.

        Returns:
            dict: ``inputs``, a list of views or one tensor, normalised
            floats [N, channels, H, W]; ``data_samples``, if there are any.
        """
        data = self.cast_data(data)
        images = data['inputs'].float() / 255  # [N, C, H, W]
        if not training:
            inputs = self._normalize(images)
        else:
            inputs = [
                self._normalize(self.transforms(images))
                for _ in range(self.num_views)
            ]
        return dict(inputs=inputs, data_samples=data.get('data_samples'))

    def _normalize(self, images: torch.Tensor) -> torch.Tensor:
        if images.size(1) == 1:
            images = images.expand(-1, self.channels, -1, -1)
        if self._enable_normalize:
            images = (images * 255 - self.mean) / self.std
        return images.contiguous()
