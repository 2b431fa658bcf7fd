"""Linear classifiers by SGD, one for each learning rate, in one pass."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdisco.errors import InputError
from mmdisco.utils import threads_for
from .votes import check_labels


class SGDProbes(NamedTuple):
    """Linear classifiers trained in one pass, one for each rate."""

    rates: list[float]
    weight: Tensor  # [R, D, C]
    bias: Tensor  # [R, C]

    def logits(self, features: Tensor, which: int) -> Tensor:
        """Logits of one classifier, [N, C].

        Args:
            features (Tensor): [N, D].
            which (int): Index of its rate.
        """
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
    """The SGD of linear evaluation, on cached features.

    - SGD with momentum 0.9 and step decay, as in the paper's protocol (Table 1).
    - The features of an image are fixed, or cycle through a few random views.
    - All rates train in one pass: the classifiers share batches and initial
      weights, N(0, .01).
    - The order of an epoch is that of mmengine's ``DefaultSampler``.

    Args:
        views (Tensor): Features, [V, M, D]; epoch e trains on view e mod V.
        labels (Tensor): Class indices, [M].
        num_classes (int): Number of classes.
        rates (Sequence[float]): Learning rates for ``batch_size`` images.
        epochs (int): Passes over the images. Defaults to 100.
        batch_size (int): Images per step. Defaults to 256.
        milestones (Sequence[int]): Epochs after which the rate decays.
            Defaults to (60, 80).
        gamma (float): Factor of the decay. Defaults to 0.1.
        weight_decay (float): L2 penalty. Defaults to 0.
        seed (int): Seed of initial weights and order. Defaults to 0.
        rows (Tensor, optional): Rows of the training images, [N]. Defaults to
            None: all.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        SGDProbes: Classifiers in the order of ``rates``.

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
                # gradient of each classifier's mean cross-entropy
                error = (logits.softmax(2) - target) / len(batch)  # [R, B, C]
                for value, step, slope in (
                    (weight, weight_step, x.T @ error),
                    (bias, bias_step, error.sum(1, keepdim=True)),
                ):
                    step.mul_(0.9).add_(slope).add_(value, alpha=weight_decay)
                    value.sub_(now * step)
    if not weight.isfinite().all():
        raise InputError(
            f'SGD diverged at a rate up to {max(rates):g}: set lower --rates'
        )
    return SGDProbes(list(rates), weight, bias.squeeze(1))
