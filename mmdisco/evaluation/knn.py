import torch
import torch.nn.functional as F
from torch import Tensor


def knn_scores(train_features: Tensor,
               train_labels: Tensor,
               test_features: Tensor,
               num_classes: int,
               k: int = 20,
               temperature: float = .07,
               chunk: int = 1024) -> Tensor:
    """Weighted k-nearest-neighbour votes by cosine similarity.

    A class gets :math:`\\sum \\exp(\\cos / T)` over those of the k most
    similar training features that are of it (`Wu et al.
    <https://arxiv.org/abs/1805.01978>`_, as DINO evaluates).

    Args:
        train_features (Tensor): [M, D], of any norm.
        train_labels (Tensor): Class indices, [M].
        test_features (Tensor): [N, D], of any norm.
        num_classes (int): Number of classes.
        k (int): Neighbours that vote. Defaults to 20.
        temperature (float): T. Defaults to 0.07.
        chunk (int): Test rows at once: memory is bounded by ``chunk * M``.
            Defaults to 1024.

    Returns:
        Tensor: Votes, [N, num_classes].

    Raises:
        ValueError: If there are fewer than ``k`` training features.
    """
    if len(train_features) < k:
        raise ValueError(f'k={k} neighbours of {len(train_features)} features')
    train = F.normalize(train_features.float(), dim=1)  # [M, D]
    votes = []
    for rows in test_features.split(chunk):
        similarity = F.normalize(rows.float(), dim=1) @ train.T  # [n, M]
        cosine, nearest = similarity.topk(k, dim=1)  # [n, k]
        zeros = cosine.new_zeros(len(rows), num_classes)
        votes.append(
            zeros.scatter_add_(1, train_labels[nearest],
                               (cosine / temperature).exp()))
    return torch.cat(votes)
