"""Weighted kNN on cached features.

- Train features: the bank, their first view. Test features: the queries.
- Exact search by cosine similarity; of equal cosines the lower index first.
- A neighbour votes for its class with weight exp(cosine / T).
- Scores for several k and temperatures from one search.
- Nothing is trained or chosen.
- Score: top-1 and top-5 on all test images.
"""

from collections.abc import Sequence

import torch
from mmengine.dist import all_gather_object, get_dist_info

from ..features.cache import Features
from ..features.neighbours import nearest
from ..probes.scores import top_k
from ..probes.votes import check_labels, knn_votes

KS = (1, 5, 10, 20, 50, 100, 200)
TEMPERATURES = (0.04, 0.07, 0.1, 0.2)


def knn_accuracy(
    train: Features,
    test: Features,
    ks: Sequence[int] = KS,
    temperatures: Sequence[float] = TEMPERATURES,
    device: str = 'cpu',
) -> dict[tuple[int, float], dict]:
    """Accuracy of weighted kNN for several k and temperatures.

    Each process of a group scores its part of the test images.

    Args:
        train (Features): Bank.
        test (Features): Queries.
        ks (Sequence[int]): Numbers of neighbours.
        temperatures (Sequence[float]): Temperatures of the votes.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        dict: ``top1`` and ``top5`` in per cent by (k, temperature).

    Raises:
        InputError: If a k exceeds the number of training images, or a label
            is out of range.
    """
    classes = len(train.classes)
    check_labels(train.labels, classes)
    check_labels(test.labels, classes)
    rank, world = get_dist_info()
    queries = test.plain[rank::world].to(device)  # [n, D]
    parts = all_gather_object(
        tuple(t.cpu() for t in nearest(train.plain, queries, max(ks)))
    )
    shape = len(test.plain), max(ks)
    cosine, index = torch.empty(shape), torch.empty(shape, dtype=torch.long)
    for r, part in enumerate(parts):
        cosine[r::world], index[r::world] = part
    labels = train.labels[index]  # [N, k]
    scores = {}
    for k in ks:
        for temperature in temperatures:
            votes = knn_votes(
                cosine[:, :k], labels[:, :k], classes, temperature
            )  # [N, C]
            scores[k, temperature] = dict(
                top1=top_k(votes, test.labels, 1), top5=top_k(votes, test.labels, 5)
            )
    return scores
