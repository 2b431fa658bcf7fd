"""First-in-first-out memory of features over all ranks."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather
from torch import Tensor, nn

from mmdisco.errors import InputError


class FeatureQueue(nn.Module):
    """Queue of the last features of all ranks.

    It starts with random unit rows. It is fp32, equal on all ranks, and part of
    the checkpoint. Its length need not be a multiple of the batch size.

    Args:
        length (int): Number of features, L.
        dim (int): Width of the features, D.
    """

    rows: Tensor  # [L, D]
    ptr: Tensor  # [], index of the oldest row

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.register_buffer('rows', F.normalize(torch.randn(length, dim), dim=1))
        self.register_buffer('ptr', torch.zeros((), dtype=torch.long))

    def forward(self, features: Tensor) -> Tensor:
        """Inner products with each row of the queue.

        Args:
            features (Tensor): [N, D], fp32.

        Returns:
            Tensor: [N, L], with a gradient for ``features``.

        Raises:
            InputError: If the features have another width.
        """
        if features.shape[1] != self.rows.shape[1]:
            raise InputError(
                f'the queue of this loss is for {self.rows.shape[1]}-d '
                f'features, got {features.shape[1]}-d ones: set its width to '
                f'{features.shape[1]}'
            )
        # enqueue writes in place, and backward needs the rows as they are now
        rows = self.rows.clone() if features.requires_grad else self.rows
        return features @ rows.T

    def check_width(self, network: str, width: int | None, key: str) -> None:
        """Check the width before training.

        Args:
            network (str): Network whose features enter, 'student' or 'teacher'.
            width (int, optional): Width of its embeddings. None if unknown.
            key (str): Option that sets the width of this queue.

        Raises:
            InputError: If the widths differ.
        """
        if width not in (None, self.rows.shape[1]):
            raise InputError(
                f'{key} is {self.rows.shape[1]}, the {network} gives {width}-d '
                f'embeddings: set it to {width}'
            )

    @torch.no_grad()
    def enqueue(self, features: Tensor) -> None:
        """Replace the oldest rows with the features of all ranks.

        Args:
            features (Tensor): [N, D], fp32, with the same N on each rank.

        Raises:
            InputError: If there are more features than rows.
        """
        features = torch.cat(all_gather(features.detach().contiguous()))
        num, length = len(features), len(self.rows)
        if num > length:
            raise InputError(
                f'a batch of {num} images on all ranks does not '
                f'fit into a queue of {length}'
            )
        index = torch.arange(num, device=self.ptr.device)
        self.rows.index_copy_(0, (self.ptr + index) % length, features)
        self.ptr.copy_((self.ptr + num) % length)

    def extra_repr(self) -> str:
        """Length and width."""
        length, dim = self.rows.shape
        return f'length={length}, dim={dim}'
