import torch
import torch.nn.functional as F
from torch import Tensor

from mmdisco.errors import InputError


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, of equal ones those of the lowest index.

    ``torch.topk`` takes any of equal ones, in any order.

    Args:
        scores (Tensor): Finite, [n, m].
        k (int): How many, at most m.

    Returns:
        tuple[Tensor, Tensor]: Scores, the largest first, and their indices,
        both [n, k].

    Raises:
        InputError: If a score is not a number.
    """
    more, places = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    best, index = more[:, :k], places[:, :k]
    if bool(best.isnan().any()):  # which topk takes for the largest
        raise InputError(
            'the features are not finite: extract them anew, '
            'from a checkpoint whose weights are'
        )
    least = best[:, -1:]
    shared = (more[:, k:] == least).any(1).nonzero().flatten()
    if len(shared):  # more are equal to the last one than there is room for
        rows = scores[shared]
        above, equal = rows > least[shared], rows == least[shared]
        room = k - above.sum(1, keepdim=True)
        taken = above | (equal & (equal.cumsum(1) <= room))
        index[shared] = taken.nonzero()[:, 1].view(-1, k)
    index = index.sort(dim=1).values
    best, order = scores.gather(1, index).sort(dim=1, descending=True, stable=True)
    return best, index.gather(1, order)


def nearest_neighbours(embeds: Tensor, k: int, chunk: int = 256) -> Tensor:
    """Find the nearest others of each image by cosine similarity, exactly.

    An image is left out by its index alone: a copy of it is a neighbour. Of
    equally similar ones that of the lowest index comes first.

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
        raise InputError(
            f'{len(embeds)} images have no {k} neighbours each: '
            'set --neighbours from 1 to less than the images'
        )
    unit = F.normalize(embeds.float(), dim=1)  # [N, D]
    nearest = []
    for start in range(0, len(unit), chunk):
        similarity = unit[start : start + chunk] @ unit.T  # [n, N]
        similarity.diagonal(start).fill_(-torch.inf)  # with itself
        nearest.append(largest(similarity, k)[1])
    return torch.cat(nearest)
