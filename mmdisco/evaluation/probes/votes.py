from torch import Tensor

from mmdisco.errors import InputError
from ..features.neighbours import nearest


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Refuse labels outside the classes.

    Args:
        labels (Tensor): Class indices, [N].
        num_classes (int): Number of classes.

    Raises:
        InputError: If there is one.
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
    """What neighbours say, weighted by how similar they are.

    Args:
        cosine (Tensor): Of the neighbours of each test feature, [N, k].
        labels (Tensor): Class indices of the neighbours, [N, k].
        num_classes (int): Number of classes.
        temperature (float): T.

    Returns:
        Tensor: Votes, [N, num_classes].

    Raises:
        InputError: If the temperature is too low.
    """
    if temperature < 0.002:
        raise InputError(
            f'temperature {temperature} of kNN is too low for its '
            'votes: take .002 or more'
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
    """Weighted k-nearest-neighbour votes by cosine similarity.

    A class gets :math:`\\sum \\exp(\\cos / T)` over those of the k most
    similar training features that are of it (`Wu et al.
    <https://arxiv.org/abs/1805.01978>`_, as DINO evaluates). Memory is
    bounded: see :func:`nearest`.

    Args:
        train_features (Tensor): [M, D], of any norm.
        train_labels (Tensor): Class indices, [M].
        test_features (Tensor): [N, D], of any norm.
        num_classes (int): Number of classes.
        k (int): Neighbours that vote. Defaults to 20.
        temperature (float): T. Defaults to 0.07.
        chunk (int): Test rows at once. Defaults to 1024.

    Returns:
        Tensor: Votes, [N, num_classes].

    Raises:
        InputError: If there are fewer than ``k`` training features, their
            width is another than that of the test features, or a label is
            outside the classes.
    """
    check_labels(train_labels, num_classes)
    cosine, index = nearest(train_features, test_features, k, chunk)
    labels = train_labels.to(index.device)[index]  # [N, k]
    return knn_votes(cosine, labels, num_classes, temperature)
