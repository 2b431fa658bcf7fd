"""Exact nearest neighbours by cosine similarity, in chunks."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdisco.errors import InputError


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest scores of each row; ties go to the lower index.

    ``torch.topk`` breaks ties arbitrarily.

    Args:
        scores (Tensor): Finite scores, [n, m].
        k (int): Number of scores, at most m.

    Returns:
        tuple[Tensor, Tensor]: Scores in descending order and their indices,
        both [n, k].

    Raises:
        InputError: If a score is NaN.
    """
    more, places = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    best, index = more[:, :k], places[:, :k]
    if bool(best.isnan().any()):  # topk ranks NaN first
        raise InputError(
            'the features are not finite: extract them again '
            'from a checkpoint with finite weights'
        )
    least = best[:, -1:]
    shared = (more[:, k:] == least).any(1).nonzero().flatten()
    if len(shared):  # more ties with the last one than places
        rows = scores[shared]
        above, equal = rows > least[shared], rows == least[shared]
        room = k - above.sum(1, keepdim=True)
        chosen = above | (equal & (equal.cumsum(1) <= room))
        index[shared] = chosen.nonzero()[:, 1].view(-1, k)
    index = index.sort(dim=1).values
    best, order = scores.gather(1, index).sort(dim=1, descending=True, stable=True)
    return best, index.gather(1, order)


def nearest_neighbours(embeds: Tensor, k: int, chunk: int = 256) -> Tensor:
    """Nearest other images of each image by cosine similarity, exact.

    Only the image itself is excluded: a copy of it is a neighbour. Ties go to
    the lower index.

    Args:
        embeds (Tensor): Embeddings, [N, D], of any norm, on the device of the
            computation.
        k (int): Number of neighbours.
        chunk (int): Rows per step: memory is bounded by ``chunk * N``
            similarities, 1.3 GB for ImageNet. Defaults to 256.

    Returns:
        Tensor: Indices, the nearest first, [N, k].

    Raises:
        InputError: If there are fewer than ``k`` other images.
    """
    if not 0 < k < len(embeds):
        raise InputError(
            f'{len(embeds)} images do not have {k} neighbours each: '
            'set --neighbours from 1 to less than the number of images'
        )
    unit = F.normalize(embeds.float(), dim=1)  # [N, D]
    nearest = []
    for start in range(0, len(unit), chunk):
        similarity = unit[start : start + chunk] @ unit.T  # [n, N]
        similarity.diagonal(start).fill_(-torch.inf)  # with itself
        nearest.append(largest(similarity, k)[1])
    return torch.cat(nearest)


def nearest(
    train_features: Tensor,
    test_features: Tensor,
    k: int,
    rows: int = 1024,
    columns: int = 16384,
) -> tuple[Tensor, Tensor]:
    """Nearest training features by cosine similarity, exact.

    The training features are read once in chunks, so they may be memory-mapped
    and larger than memory. Memory holds ``rows * columns`` similarities,
    ``columns`` training features and ``2 * k`` candidates per test feature. Ties
    go to the lower index, whatever the chunks.

    Args:
        train_features (Tensor): [M, D], of any norm.
        test_features (Tensor): [N, D], of any norm, on the device of the
            computation.
        k (int): Number of neighbours.
        rows (int): Test features per step. Defaults to 1024.
        columns (int): Training features per step. Defaults to 16384.

    Returns:
        tuple[Tensor, Tensor]: Cosines in descending order and indices of the
        training features, both [N, k].

    Raises:
        InputError: If there are fewer than ``k`` training features, the widths
            differ, or a feature is not finite.
    """
    check_neighbours(k, len(train_features))
    if train_features.shape[1] != test_features.shape[1]:
        raise InputError(
            f'training features are {train_features.shape[1]}-d, test '
            f'features {test_features.shape[1]}-d: extract both with one '
            'backbone'
        )
    device = test_features.device
    num = len(test_features)
    test = F.normalize(test_features.float(), dim=1)  # [N, D]
    cosine = torch.full((num, k), -torch.inf, device=device)  # [N, k]
    index = torch.zeros(num, k, dtype=torch.long, device=device)  # [N, k]
    memory = torch.empty(min(rows, num) * columns, device=device)
    for first in range(0, len(train_features), columns):
        train = F.normalize(
            train_features[first : first + columns].to(device).float(), dim=1
        )  # [m, D]
        for begin in range(0, num, rows):
            part = slice(begin, begin + rows)
            width = len(test[part]), len(train)
            similarity = memory[: width[0] * width[1]].view(width)  # [n, m]
            torch.mm(test[part], train.T, out=similarity)
            best, place = largest(similarity, min(k, len(train)))
            cosine[part], index[part] = _merge(
                cosine[part], index[part], best, place + first
            )
    return cosine, index


def check_neighbours(k: int, num: int) -> None:
    """Check the number of neighbours.

    Args:
        k (int): Number of neighbours.
        num (int): Number of training features.

    Raises:
        InputError: If ``k`` is larger.
    """
    if num < k:
        raise InputError(
            f'k={k} neighbours of {num} training features: set a smaller k'
        )


def _merge(
    cosine: Tensor, index: Tensor, best: Tensor, place: Tensor
) -> tuple[Tensor, Tensor]:
    """Merge the k best so far with those of a chunk, [n, k].

    The former have lower indices, so a stable sort keeps them first on ties.
    """
    both = torch.cat([cosine, best], 1)  # [n, k + k']
    top, order = both.sort(dim=1, descending=True, stable=True)
    merged = torch.cat([index, place], 1).gather(1, order)
    k = cosine.shape[1]
    return top[:, :k], merged[:, :k]
