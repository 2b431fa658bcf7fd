import torch
import torch.nn.functional as F
from torch import Tensor


def average_precisions(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    rows: int = 64,
) -> Tensor:
    """How well images of a class are found by one of it.

    Each test image is a query, the training images are ranked by cosine
    similarity to it, and those of its class are relevant. Its average
    precision is the mean, over the relevant ones, of the precision at their
    rank; the mean of all queries is mAP.

    Args:
        train_features (Tensor): [M, D], of any norm.
        train_labels (Tensor): Class indices, [M].
        test_features (Tensor): [N, D], of any norm. It is computed where they
            are.
        test_labels (Tensor): Class indices, [N].
        rows (int): Queries at once: memory is bounded by a few times
            ``rows * M``, and a copy of the training features. Defaults to 64.

    Returns:
        Tensor: Average precision of each query, 0 to 1, [N]; NaN where no
        training image is of its class.
    """
    device = test_features.device
    train = F.normalize(train_features.to(device).float(), dim=1)  # [M, D]
    train_labels = train_labels.to(device)
    rank = torch.arange(1, len(train) + 1, device=device)  # [M]
    found = []
    for query, label in zip(
        test_features.split(rows), test_labels.to(device).split(rows)
    ):
        cosine = F.normalize(query.float(), dim=1) @ train.T  # [n, M]
        order = cosine.argsort(dim=1, descending=True, stable=True)
        hits = (train_labels[order] == label[:, None]).double()  # [n, M]
        precision = hits.cumsum(1) / rank
        found.append((precision * hits).sum(1) / hits.sum(1))
    return torch.cat(found)
