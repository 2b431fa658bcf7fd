import torch
import torch.nn.functional as F
from torch import Tensor

from mmdisco.errors import InputError


def nearest_neighbours(embeds: Tensor, k: int, chunk: int = 256) -> Tensor:
    """Find the nearest others of each image by cosine similarity, exactly.

    An image is left out by its index alone: a copy of it is a neighbour.

    Args:
        embeds (Tensor): Embeddings, [N, D], of any norm. It is computed where
            they are.
        k (int): How many.
        chunk (int): Rows at once: memory is bounded by ``chunk * N``
            similarities, 1.3 GB for ImageNet. Defaults to 256.

    Returns:
        Tensor: Indices, the nearest first, [N, k].

    Raises:
        InputError: If there are fewer than ``k`` others.
    """
    if not 0 < k < len(embeds):
        raise InputError(f'{len(embeds)} images have no {k} neighbours each: '
                         'set --neighbours from 1 to less than the images')
    unit = F.normalize(embeds.float(), dim=1)  # [N, D]
    nearest = []
    for start in range(0, len(unit), chunk):
        similarity = unit[start:start + chunk] @ unit.T  # [n, N]
        similarity.diagonal(start).fill_(-torch.inf)  # with itself
        nearest.append(similarity.topk(k, dim=1).indices)
    return torch.cat(nearest)
