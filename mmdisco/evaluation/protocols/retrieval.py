"""Image retrieval on cached features.

- Train features: the database, their first view. Test features: the queries.
- Ranking by cosine similarity, exact; of equal cosines the lower index first.
- Database images of the query's class are relevant.
- Nothing is trained or chosen.
- Score: mean average precision (mAP) over all queries.
"""

import torch

from ..features.cache import Features
from ..probes.scores import average_precisions


def retrieval_map(train: Features, test: Features, device: str = 'cpu') -> dict:
    """Mean average precision of test queries among the training images.

    Args:
        train (Features): Database.
        test (Features): Queries.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        dict: ``mean`` over queries and ``per_class`` in per cent; None for
        a class without queries.
    """
    precisions = average_precisions(
        train.plain, train.labels, test.plain.to(device), test.labels
    ).cpu()  # [N]
    per_class = []
    for label in range(len(train.classes)):
        of_class = precisions[test.labels == label]
        per_class.append(100 * float(of_class.mean()) if len(of_class) else None)
    return dict(mean=100 * float(torch.nanmean(precisions)), per_class=per_class)
