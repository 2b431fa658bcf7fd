"""CoSS (https://arxiv.org/abs/2409.13939)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from mmpretrain.registry import MODELS
from torch import Tensor

from .base import DistillLoss


@MODELS.register_module()
class CoSSLoss(DistillLoss):
    r"""Cosine distance of each image, and of each dimension over the batch.

    `CoSS <https://arxiv.org/abs/2409.13939>`_, 'Simple Unsupervised Knowledge
    Distillation With Space Similarity': with embeddings S and T, [N, D], a row
    for each image,

    .. math:: L = 1 - \frac{1}{N} \sum_i \cos(S_{i \cdot}, T_{i \cdot})
                  + \lambda (1 - \frac{1}{D} \sum_j \cos(S_{\cdot j}, T_{\cdot j}))

    The columns are those of the embeddings before rows are normalised, so that
    the second term retains what the first one discards: the norms. It also
    gives each dimension of the teacher the same weight, whatever its variance.

    The batch of the second term is that of all ranks: its gradient, averaged by
    DDP, is that of one process with the global batch.

    The paper also adds the nearest neighbours of each image, in the teacher's
    space, to the batch. Here, batches are random.

    Args:
        space_weight (float): :math:`\lambda`. Defaults to 1, the paper's value as
            far as we know (not verified).
        loss_weight (float): Factor of the sum. The paper's is 70 as far as we
            know (not verified), for SGD; AdamW does not depend on it. Defaults
            to 1.
        views (Sequence[int], optional): Views that are distilled. Defaults to
            None, all.

    Example:
        >>> CoSSLoss()(torch.randn(4, 8), torch.randn(4, 8)).shape
        torch.Size([])
    """

    def __init__(
        self,
        space_weight: float = 1.0,
        loss_weight: float = 1.0,
        views: Sequence[int] | None = None,
    ) -> None:
        super().__init__(loss_weight, views)
        self.space_weight = space_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the loss of one view.

        Args:
            student (Tensor): Embeddings, [N, D], of any norm.
            teacher (Tensor): Embeddings of the same images, [N, D].

        Returns:
            Tensor: Scalar, fp32.
        """
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = student.float(), teacher.float()  # [N, D]
            images = F.cosine_similarity(student, teacher, dim=1)  # [N]
            dims = column_cosines(student, teacher)  # [D]
            loss = 1 - images.mean() + self.space_weight * (1 - dims.mean())
            return self.loss_weight * loss


def column_cosines(student: Tensor, teacher: Tensor) -> Tensor:
    """Cosine of each dimension over the images of all ranks.

    Args:
        student (Tensor): [N, D], fp32.
        teacher (Tensor): [N, D], fp32.

    Returns:
        Tensor: [D], equal on all ranks; 0 for a dimension that is always 0.
    """
    products = torch.stack([student * teacher, student**2, teacher**2])  # [3, N, D]
    dots, *squares = sum_over_ranks(products.sum(1))  # [D] each
    norms = [square.clamp(min=1e-24).sqrt() for square in squares]
    return dots / (norms[0] * norms[1])


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum over ranks, with the gradient that DDP's average turns into the right one.

    DDP divides the sum of all ranks' gradients by their number, hence the factor.
    """
    total = values.detach().clone()
    all_reduce(total)
    return total + get_world_size() * (values - values.detach())
