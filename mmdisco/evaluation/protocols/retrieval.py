import torch

from ..features.cache import Features
from ..probes.scores import average_precisions


def by_retrieval(train: Features, test: Features, device: str = 'cpu') -> dict:
    """mAP of test images as queries among the training images.

    Args:
        train (Features): What is searched.
        test (Features): The queries.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        dict: ``mean`` over queries and ``per_class`` in per cent; None for
        a class without queries.
    """
    found = average_precisions(
        train.plain, train.labels, test.plain.to(device), test.labels
    ).cpu()  # [N]
    per_class = []
    for label in range(len(train.classes)):
        of_class = found[test.labels == label]
        per_class.append(100 * float(of_class.mean()) if len(of_class) else None)
    return dict(mean=100 * float(torch.nanmean(found)), per_class=per_class)
