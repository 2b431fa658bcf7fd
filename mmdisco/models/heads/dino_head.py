"""Prototypes, centring and loss of DINO (https://arxiv.org/abs/2104.14294)."""

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


@MODELS.register_module()
class DINOHead(BaseModule):
    """Last layer and loss of DINO.

    Cross entropy of sharpened, centred targets and the student's
    distribution over K outputs (`DINO <https://arxiv.org/abs/2104.14294>`_,
    Algorithm 1).

    Args:
        in_channels (int): Width of the bottleneck, D. Defaults to 256.
        out_channels (int): K. Defaults to 65536.
        student_temp (float): Temperature of the student. Defaults to .1.
        momentum_temp (float): Temperature of the momentum encoder, which
            :class:`MomentumTempHook` may raise. Defaults to .04.
        center_momentum (float): Share of the old centre in each update.
            Defaults to .9.
        norm_last_layer (bool): Whether the norms of the last layer's rows stay
            1. If False, they are learned, starting at 1. Defaults to True.
        init_cfg (dict or list[dict], optional): Defaults to None.
    """

    def __init__(
        self,
        in_channels: int = 256,
        out_channels: int = 65536,
        student_temp: float = 0.1,
        momentum_temp: float = 0.04,
        center_momentum: float = 0.9,
        norm_last_layer: bool = True,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.last_layer = weight_norm(nn.Linear(in_channels, out_channels, bias=False))
        norms = self.last_layer.parametrizations.weight.original0  # [K, 1]
        nn.init.ones_(norms)
        norms.requires_grad = not norm_last_layer
        self.student_temp = student_temp
        self.momentum_temp = momentum_temp
        self.center_momentum = center_momentum
        self.register_buffer('center', torch.zeros(1, out_channels))

    def forward(self, embeds: Tensor) -> Tensor:
        """Compute logits [M, K] from unit vectors [M, D]."""
        return self.last_layer(embeds)

    def loss(self, student: Sequence[Tensor], momentum: Sequence[Tensor]) -> Tensor:
        """Compare all pairs of different crops, then update the centre.

        Args:
            student (Sequence[Tensor]): Logits of all crops, [N, K] each.
            momentum (Sequence[Tensor]): The momentum encoder's logits of the
                global crops, which come first, [N, K] each.

        Returns:
            Tensor: Mean over the pairs and the batch, a scalar in fp32
            whatever the logits are.
        """
        with torch.autocast(student[0].device.type, enabled=False):
            logs = [(s.float() / self.student_temp).log_softmax(1) for s in student]
            momentum = [m.detach().float() for m in momentum]
            targets = [
                ((m - self.center) / self.momentum_temp).softmax(1) for m in momentum
            ]
            losses = [
                -(target * log).sum(1).mean()
                for i, target in enumerate(targets)
                for j, log in enumerate(logs)
                if i != j
            ]
            self._move_center(torch.cat(momentum))
        return sum(losses) / len(losses)

    @torch.no_grad()
    def _move_center(self, logits: Tensor) -> None:
        mean = logits.mean(0, keepdim=True)  # [1, K]
        all_reduce(mean, 'mean')
        self.center.lerp_(mean, 1 - self.center_momentum)
