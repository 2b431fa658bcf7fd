from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdisco.errors import InputError
from mmdisco.utils import threads_for
from .votes import check_labels


class SGDProbes(NamedTuple):
    """Linear classifiers that were trained side by side."""

    rates: list[float]
    weight: Tensor  # [R, D, C]
    bias: Tensor  # [R, C]

    def logits(self, features: Tensor, which: int) -> Tensor:
        """Of one of the classifiers, [N, C]."""
        return torch.addmm(self.bias[which], features.float(), self.weight[which])


def sgd_probe(
    views: Tensor,
    labels: Tensor,
    num_classes: int,
    rates: Sequence[float],
    epochs: int = 100,
    batch_size: int = 256,
    milestones: Sequence[int] = (60, 80),
    gamma: float = 0.1,
    weight_decay: float = 0.0,
    seed: int = 0,
    rows: Tensor | None = None,
    device: str = 'cpu',
) -> SGDProbes:
    """Linear evaluation's own training, on features that are kept.

    SGD with momentum .9, as in the paper's protocol (Table 1), but the
    features of an image do not change from epoch to epoch, or come from a few
    random views in turn. All rates train in one pass: the classifiers share
    batches and first weights, N(0, .01), and nothing else. The order of an
    epoch is that of mmengine's ``DefaultSampler``.

    Args:
        views (Tensor): Features, [V, M, D]; epoch e trains on view e mod V.
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        rates (Sequence[float]): Learning rates, of ``batch_size`` images.
        epochs (int): Defaults to 100.
        batch_size (int): Defaults to 256.
        milestones (Sequence[int]): Epochs after which the rate falls.
            Defaults to (60, 80).
        gamma (float): By which factor. Defaults to .1.
        weight_decay (float): Defaults to 0.
        seed (int): Of first weights and order. Defaults to 0.
        rows (Tensor, optional): Which images train, [N]. Defaults to None:
            all.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        SGDProbes: In the order of ``rates``.

    Raises:
        InputError: If a label is outside the classes, or training diverges.
    """
    check_labels(labels, num_classes)
    num, dim = views.shape[1:]
    chosen = torch.arange(num) if rows is None else rows  # [N]
    first = (
        torch.empty(num_classes, dim)
        .normal_(0, 0.01, generator=torch.Generator().manual_seed(seed))
        .T
    )  # [D, C]
    weight = first.repeat(len(rates), 1, 1).to(device)  # [R, D, C]
    bias = weight.new_zeros(len(rates), 1, num_classes)
    rate = torch.tensor(rates, device=device).view(-1, 1, 1)
    weight_step, bias_step = map(torch.zeros_like, (weight, bias))
    labels = labels.to(device)
    with threads_for(batch_size * dim * num_classes * len(rates)):
        for epoch in range(epochs):
            now = rate * gamma ** sum(epoch >= m for m in milestones)
            features = views[epoch % len(views)]
            order = chosen[
                torch.randperm(
                    len(chosen), generator=torch.Generator().manual_seed(seed + epoch)
                )
            ]
            for batch in order.split(batch_size):
                x = features[batch].to(device).float()  # [B, D]
                logits = x @ weight + bias  # [R, B, C]
                target = F.one_hot(labels[batch.to(device)], num_classes)  # [B, C]
                # of each classifier's mean cross-entropy
                error = (logits.softmax(2) - target) / len(batch)  # [R, B, C]
                for value, step, slope in (
                    (weight, weight_step, x.T @ error),
                    (bias, bias_step, error.sum(1, keepdim=True)),
                ):
                    step.mul_(0.9).add_(slope).add_(value, alpha=weight_decay)
                    value.sub_(now * step)
    if not weight.isfinite().all():
        raise InputError(
            f'SGD diverged at a rate up to {max(rates):g}: take lower --rates'
        )
    return SGDProbes(list(rates), weight, bias.squeeze(1))
