from collections.abc import Sequence

import torch
from mmengine.dist import all_gather_object, get_dist_info

from ..features.cache import Features
from ..features.neighbours import nearest
from ..probes.scores import top_k
from ..probes.votes import check_labels, knn_votes

KS = (1, 5, 10, 20, 50, 100, 200)
TEMPERATURES = (0.04, 0.07, 0.1, 0.2)


def by_knn(
    train: Features,
    test: Features,
    ks: Sequence[int] = KS,
    temperatures: Sequence[float] = TEMPERATURES,
    device: str = 'cpu',
) -> dict[tuple[int, float], dict]:
    """Weighted kNN at several k and temperatures, of one search.

    All processes of a group take part, each with its share of the test
    images; the search is exact.

    Args:
        train (Features): What is searched.
        test (Features): What is scored.
        ks (Sequence[int]): Numbers of neighbours.
        temperatures (Sequence[float]): Of the votes.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        dict: ``top1`` and ``top5`` in per cent by (k, temperature).

    Raises:
        InputError: If there are fewer training images than a k, or a label is
            outside the classes.
    """
    classes = len(train.classes)
    check_labels(train.labels, classes)
    check_labels(test.labels, classes)
    rank, world = get_dist_info()
    mine = test.plain[rank::world].to(device)  # [n, D]
    parts = all_gather_object(
        tuple(t.cpu() for t in nearest(train.plain, mine, max(ks)))
    )
    shape = len(test.plain), max(ks)
    cosine, index = torch.empty(shape), torch.empty(shape, dtype=torch.long)
    for r, part in enumerate(parts):
        cosine[r::world], index[r::world] = part
    labels = train.labels[index]  # [N, k]
    found = {}
    for k in ks:
        for temperature in temperatures:
            votes = knn_votes(
                cosine[:, :k], labels[:, :k], classes, temperature
            )  # [N, C]
            found[k, temperature] = dict(
                top1=top_k(votes, test.labels, 1), top5=top_k(votes, test.labels, 5)
            )
    return found
