"""Weighted kNN classification."""

from torch import Tensor

from mmdisco.errors import InputError
from ..features.neighbours import nearest


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Check that labels are within the classes.

    Args:
        labels (Tensor): Class indices, [N].
        num_classes (int): Number of classes.

    Raises:
        InputError: If one is not.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise InputError(
            f'label {low if low < 0 else high} is outside the '
            f'{num_classes} classes, 0 to {num_classes - 1}'
        )


def knn_votes(
    cosine: Tensor, labels: Tensor, num_classes: int, temperature: float
) -> Tensor:
    r"""Votes of neighbours, weighted by their similarity.

    Args:
        cosine (Tensor): Cosines of the neighbours of each test feature, [N, k].
        labels (Tensor): Class indices of the neighbours, [N, k].
        num_classes (int): Number of classes.
        temperature (float): T of the weights :math:`\exp(\cos / T)`.

    Returns:
        Tensor: Votes, [N, num_classes].

    Raises:
        InputError: If the temperature is too low for float64.
    """
    if temperature < 0.002:
        raise InputError(
            f'the kNN temperature {temperature} is too low: its votes overflow, '
            'set .002 or more'
        )
    weights = (cosine.double() / temperature).exp()  # [N, k]
    zeros = weights.new_zeros(len(cosine), num_classes)
    return zeros.scatter_add_(1, labels, weights)


def knn_scores(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 1024,
) -> Tensor:
    r"""Weighted k-nearest-neighbour votes by cosine similarity.

    The vote for a class is :math:`\sum \exp(\cos / T)` over its members among
    the k most similar training features (`Wu et al.
    <https://arxiv.org/abs/1805.01978>`_, as in DINO's evaluation). Memory is
    bounded, see :func:`nearest`.

    Args:
        train_features (Tensor): [M, D], of any norm.
        train_labels (Tensor): Class indices, [M].
        test_features (Tensor): [N, D], of any norm.
        num_classes (int): Number of classes.
        k (int): Number of neighbours. Defaults to 20.
        temperature (float): T. Defaults to 0.07.
        chunk (int): Test rows per step. Defaults to 1024.

    Returns:
        Tensor: Votes, [N, num_classes].

    Raises:
        InputError: If there are fewer than ``k`` training features, the widths
            differ, or a label is outside the classes.
    """
    check_labels(train_labels, num_classes)
    cosine, index = nearest(train_features, test_features, k, chunk)
    labels = train_labels.to(index.device)[index]  # [N, k]
    return knn_votes(cosine, labels, num_classes, temperature)
