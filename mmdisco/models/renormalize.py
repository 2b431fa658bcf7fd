from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError


class Renormalize(nn.Module):
    """Turns images normalised for one network into those another learned of.

    Args:
        mean (Sequence[float], optional): Channel means that the other network
            wants, 0 to 255. None leaves images as they are.
        std (Sequence[float], optional): Its channel deviations, 0 to 255.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        for name in ('scale', 'shift'):
            self.register_buffer(name, None, persistent=False)

    def take_images_of(self, preprocessor: nn.Module | None) -> None:
        """Note how images are normalised that will come.

        Args:
            preprocessor (nn.Module, optional): Its ``mean`` and ``std`` are
                meant.

        Raises:
            ValueError: If this wants other images, and it has none.
        """
        if self.mean is None:
            return
        if not hasattr(preprocessor, 'mean'):
            raise InputError(
                f'the teacher wants images of mean {list(self.mean)}, but the '
                "student's data preprocessor normalises none: set "
                'data_preprocessor.mean and .std'
            )
        own_mean, own_std = (
            torch.tensor(v, dtype=torch.float32).view(-1, 1, 1)
            for v in (self.mean, self.std)
        )  # [3, 1, 1]
        mean, std = preprocessor.mean.cpu(), preprocessor.std.cpu()
        scale, shift = std / own_std, (mean - own_mean) / own_std
        alike = torch.allclose(scale, torch.ones(1)) and torch.allclose(
            shift, torch.zeros(1)
        )
        self.scale, self.shift = (None, None) if alike else (scale, shift)

    def forward(self, images: Tensor) -> Tensor:
        """Turn normalised images, [N, 3, H, W]."""
        if self.scale is None:
            return images
        return torch.addcmul(self.shift, images.float(), self.scale)
