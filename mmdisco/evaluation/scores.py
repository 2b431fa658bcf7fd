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
