from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def top_k(scores: Tensor, labels: Tensor, k: int) -> float:
    """Share of images whose class is among the k best scores, in per cent.

    Of equal scores those of the first classes are the best; a score that is
    not a number is no hit.

    Args:
        scores (Tensor): [N, C].
        labels (Tensor): Class indices, [N].
        k (int): With fewer classes, all of them.
    """
    labels = labels.to(scores.device)[:, None]  # [N, 1]
    own = scores.gather(1, labels)
    classes = torch.arange(scores.shape[1], device=scores.device)
    before = ~(scores <= own) | ((scores == own) & (classes < labels))
    hits = before.sum(1) < min(k, scores.shape[1])
    return 100 * float(hits.double().mean())


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error of the most probable class, in per cent.

    Over bins of equal width, the mean distance of confidence and accuracy
    (`Guo et al. <https://arxiv.org/abs/1706.04599>`_, eq. 3).

    Args:
        probabilities (Tensor): [N, C].
        labels (Tensor): Class indices, [N].
        bins (int): Defaults to 15.
    """
    confidence, guess = probabilities.double().max(1)  # [N]
    which = (confidence * bins).ceil().long().clamp(1, bins) - 1  # [N]
    gap = (guess == labels).double() - confidence  # [N]
    sums = gap.new_zeros(bins).index_add_(0, which, gap)
    return 100 * float(sums.abs().sum()) / len(labels)


def classifier_scores(logits: Tensor, labels: Tensor) -> dict:
    """What a classifier's logits are worth.

    Args:
        logits (Tensor): [N, C].
        labels (Tensor): Class indices, [N].

    Returns:
        dict: ``top1``, ``top5``, ``mean_class`` (of the classes' accuracies)
        and ``calibration_error`` in per cent, ``nll`` in nats, ``per_class``
        in per cent (None for a class without images) and ``confusion``,
        counts of [class, guess].
    """
    labels = labels.cpu()
    logits = logits.cpu().double()
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    confusion = torch.bincount(pairs, minlength=classes**2).view(
        classes, classes
    )  # [C, C]
    counts = confusion.sum(1)
    per_class = [
        100 * int(confusion[c, c]) / int(n) if n else None for c, n in enumerate(counts)
    ]
    told = [share for share in per_class if share is not None]
    return dict(
        top1=top_k(logits, labels, 1),
        top5=top_k(logits, labels, 5),
        mean_class=sum(told) / len(told),
        calibration_error=calibration_error(logits.softmax(1), labels),
        nll=float(F.cross_entropy(logits, labels)),
        per_class=per_class,
        confusion=confusion.tolist(),
    )


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


NAMED = 50  # classes at most whose names can be read


def draw_confusion(
    counts: Sequence[Sequence[int]], classes: Sequence[str], path: Path
) -> None:
    """Draw which class is taken for which.

    Args:
        counts (Sequence[Sequence[int]]): Of [class, guess].
        classes (Sequence[str]): Names of the classes.
        path (Path): PNG to write; its folder is made.
    """
    from matplotlib.figure import Figure  # slow, and few runs draw

    table = np.array(counts, dtype=float)
    shares = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 3 + 0.3 * min(len(classes), NAMED)
    figure = Figure(figsize=(side + 1, side), layout='constrained')
    axes = figure.subplots()
    shown = axes.imshow(shares, vmin=0, vmax=100, cmap='Blues')
    if len(classes) <= NAMED:
        # names of folders: no formulas, and perhaps no Unicode
        names = [str(name).encode(errors='replace').decode() for name in classes]
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set(xlabel='guess', ylabel='class')
    figure.colorbar(shown, ax=axes, label='% of the class')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
