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


def nearest(
    train_features: Tensor,
    test_features: Tensor,
    k: int,
    rows: int = 1024,
    columns: int = 16384,
) -> tuple[Tensor, Tensor]:
    """Find the most similar training features by cosine, exactly.

    The training features are read once, chunk by chunk, so they may be
    memory-mapped, and larger than memory. What is held at once is
    ``rows * columns`` similarities, ``columns`` training features and
    ``2 * k`` candidates for each test feature. It is computed where the test
    features are.

    Of equally similar ones that of the lowest index comes first, whatever the
    chunks are.

    Args:
        train_features (Tensor): [M, D], of any norm.
        test_features (Tensor): [N, D], of any norm.
        k (int): How many.
        rows (int): Test features at once. Defaults to 1024.
        columns (int): Training features at once. Defaults to 16384.

    Returns:
        tuple[Tensor, Tensor]: Cosines, the largest first, and indices of the
        training features, both [N, k].

    Raises:
        InputError: If there are fewer than ``k`` training features, their
            width is another than that of the test features, or a feature is
            not finite.
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
    """Refuse to look for more neighbours than there are.

    Args:
        k (int): How many are looked for.
        num (int): Training features.

    Raises:
        InputError: If there are fewer.
    """
    if num < k:
        raise InputError(
            f'k={k} neighbours of {num} training features: take a smaller k'
        )


def _merge(
    cosine: Tensor, index: Tensor, best: Tensor, place: Tensor
) -> tuple[Tensor, Tensor]:
    """The k best of those found so far and of a chunk's, [n, k].

    The former are of lower indices, so a stable sort keeps them first.
    """
    both = torch.cat([cosine, best], 1)  # [n, k + k']
    top, chosen = both.sort(dim=1, descending=True, stable=True)
    found = torch.cat([index, place], 1).gather(1, chosen)
    k = cosine.shape[1]
    return top[:, :k], found[:, :k]
