"""Views of whole batches of decoded images."""

from collections.abc import Sequence

import torch
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.errors import InputError

Images = torch.Tensor | list[torch.Tensor]


@MODELS.register_module()
class BatchViews(SelfSupDataPreprocessor):
    """Makes the views of a whole batch on the model's device.

    A pipeline per image costs about a millisecond per view, even at 28x28.
    Here, a transform draws its parameters for each image and runs once for the
    batch. As in mmcv's ``MultiView``, there may be several groups of views, for
    example two large crops and four small ones:
    ``transforms=[[…], […]], num_views=[2, 4]``. If an item has several images,
    as in :class:`Bags`, each group works on one of them.

    Args:
        transforms (Sequence[dict] or Sequence[Sequence[dict]]): Transforms of
            float images in [0, 1], [N, C, H, W], for example
            `kornia.augmentation.RandomResizedCrop`; or a list of them for each
            group. A flat list is one group.
        num_views (int or Sequence[int]): Number of views, in total or of each
            group. Views are ordered by group. Defaults to 2.
        mean (Sequence[float], optional): Channel means, 0 to 255. Defaults to
            None.
        std (Sequence[float], optional): Channel deviations, 0 to 255. Defaults
            to None.
        channels (int): Grey images are repeated to this number of channels.
            Defaults to 3.

    Raises:
        InputError: If groups and counts differ in number, or only some of the
            transforms are in groups.
    """

    def __init__(
        self,
        transforms: Sequence[dict | Sequence[dict]],
        num_views: int | Sequence[int] = 2,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channels: int = 3,
    ) -> None:
        super().__init__(mean=mean, std=std)
        in_groups = {not isinstance(part, dict) for part in transforms}
        if len(in_groups) > 1:
            raise InputError(
                'transforms of BatchViews are partly in groups: set one flat '
                'list, or a list for each group'
            )
        groups = list(transforms) if in_groups == {True} else [transforms]
        counts = [num_views] if isinstance(num_views, int) else [*num_views]
        if len(groups) != len(counts):
            raise InputError(
                f'BatchViews has {len(groups)} group(s) of transforms and '
                f'num_views={num_views}: set one number for each group'
            )
        self.transforms = nn.ModuleList(
            nn.Sequential(*map(MODELS.build, group)) for group in groups
        )
        self.num_views = counts
        self.channels = channels

    @torch.no_grad()
    def forward(self, data: dict, training: bool = False) -> dict:
        """Make views in training, or only normalise.

        Args:
            data (dict): ``inputs``, uint8 images [N, C, H, W], or a list of
                them, one for each group.
            training (bool): Whether to make views. Defaults to False.

        Returns:
            dict: ``inputs``, a list of views or one tensor, normalised floats
            [N, channels, H, W], where H and W may differ between groups; and
            ``data_samples``, if there are any.

        Raises:
            InputError: If the numbers of images and groups differ.
        """
        data = self.cast_data(data)
        images = data['inputs']
        if not training:
            inputs = (
                [self._normalize(i.float() / 255) for i in images]
                if isinstance(images, list)
                else self._normalize(images.float() / 255)
            )
        else:
            inputs = [
                self._normalize(transform(batch))
                for transform, num, batch in zip(
                    self.transforms, self.num_views, self._of_groups(images)
                )
                for _ in range(num)
            ]
        return dict(inputs=inputs, data_samples=data.get('data_samples'))

    def _of_groups(self, images: Images) -> list[torch.Tensor]:
        """The images of each group, in [0, 1]."""
        if not isinstance(images, list):
            images = [images] * len(self.transforms)
        if len(images) != len(self.transforms):
            raise InputError(
                f'an item has {len(images)} images, BatchViews has '
                f'{len(self.transforms)} group(s) of transforms: set one '
                'group for each image'
            )
        return [batch.float() / 255 for batch in images]

    def _normalize(self, images: torch.Tensor) -> torch.Tensor:
        if images.size(1) == 1:
            images = images.expand(-1, self.channels, -1, -1)
        if self._enable_normalize:
            images = (images * 255 - self.mean) / self.std
        return images.contiguous()
