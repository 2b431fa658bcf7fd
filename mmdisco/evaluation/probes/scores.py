"""Accuracy, calibration, average precision and confusion of a classifier."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def top_k(scores: Tensor, labels: Tensor, k: int) -> float:
    """Top-k accuracy in per cent.

    Ties go to the lower class index; a NaN is never a hit.

    Args:
        scores (Tensor): [N, C].
        labels (Tensor): Class indices, [N].
        k (int): Number of classes that count, at most C.
    """
    labels = labels.to(scores.device)[:, None]  # [N, 1]
    label_scores = scores.gather(1, labels)  # [N, 1]
    classes = torch.arange(scores.shape[1], device=scores.device)
    before = ~(scores <= label_scores) | (
        (scores == label_scores) & (classes < labels)
    )  # [N, C]
    hits = before.sum(1) < min(k, scores.shape[1])
    return 100 * float(hits.double().mean())


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error of the predicted class, in per cent.

    Mean distance of confidence and accuracy over bins of equal width (`Guo et
    al. <https://arxiv.org/abs/1706.04599>`_, eq. 3).

    Args:
        probabilities (Tensor): [N, C].
        labels (Tensor): Class indices, [N].
        bins (int): Number of bins. Defaults to 15.
    """
    confidence, guess = probabilities.double().max(1)  # [N]
    which = (confidence * bins).ceil().long().clamp(1, bins) - 1  # [N]
    gap = (guess == labels).double() - confidence  # [N]
    sums = gap.new_zeros(bins).index_add_(0, which, gap)
    return 100 * float(sums.abs().sum()) / len(labels)


def classifier_scores(logits: Tensor, labels: Tensor) -> dict:
    """Scores of a classifier's logits.

    Args:
        logits (Tensor): [N, C].
        labels (Tensor): Class indices, [N].

    Returns:
        dict: ``top1``, ``top5``, ``mean_class`` (mean per-class accuracy) and
        ``calibration_error`` in per cent, ``nll`` in nats, ``per_class``
        accuracy in per cent (None for a class without images) and
        ``confusion``, counts of [class, prediction].
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
    known = [share for share in per_class if share is not None]
    return dict(
        top1=top_k(logits, labels, 1),
        top5=top_k(logits, labels, 5),
        mean_class=sum(known) / len(known),
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
    """Average precision of each test image as a query.

    The training images are ranked by cosine similarity to the query; those of
    its class are relevant. Average precision is the mean over the relevant
    images of the precision at their rank; its mean over queries is mAP.

    Args:
        train_features (Tensor): [M, D], of any norm.
        train_labels (Tensor): Class indices, [M].
        test_features (Tensor): [N, D], of any norm, on the device of the
            computation.
        test_labels (Tensor): Class indices, [N].
        rows (int): Queries per step: memory is bounded by a few times
            ``rows * M`` and a copy of the training features. Defaults to 64.

    Returns:
        Tensor: Average precision of each query, 0 to 1, [N]; NaN if no
        training image has its class.
    """
    device = test_features.device
    train = F.normalize(train_features.to(device).float(), dim=1)  # [M, D]
    train_labels = train_labels.to(device)
    rank = torch.arange(1, len(train) + 1, device=device)  # [M]
    precisions = []
    for query, label in zip(
        test_features.split(rows), test_labels.to(device).split(rows)
    ):
        cosine = F.normalize(query.float(), dim=1) @ train.T  # [n, M]
        order = cosine.argsort(dim=1, descending=True, stable=True)
        hits = (train_labels[order] == label[:, None]).double()  # [n, M]
        precision = hits.cumsum(1) / rank
        precisions.append((precision * hits).sum(1) / hits.sum(1))
    return torch.cat(precisions)


NAMED = 50  # maximum number of classes with legible names


def draw_confusion(
    counts: Sequence[Sequence[int]], classes: Sequence[str], path: Path
) -> None:
    """Draw a confusion matrix.

    Args:
        counts (Sequence[Sequence[int]]): Counts of [class, prediction].
        classes (Sequence[str]): Names of the classes.
        path (Path): PNG to write; its folder is created.
    """
    from matplotlib.figure import Figure  # slow import, for this figure only

    table = np.array(counts, dtype=float)
    shares = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 3 + 0.3 * min(len(classes), NAMED)
    figure = Figure(figsize=(side + 1, side), layout='constrained')
    axes = figure.subplots()
    shown = axes.imshow(shares, vmin=0, vmax=100, cmap='Blues')
    if len(classes) <= NAMED:
        # folder names may have $ or invalid Unicode
        names = [str(name).encode(errors='replace').decode() for name in classes]
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set(xlabel='prediction', ylabel='class')
    figure.colorbar(shown, ax=axes, label='% of the class')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
