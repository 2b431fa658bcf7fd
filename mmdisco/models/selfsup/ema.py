"""Momentum update of all tensors at once."""

import torch
from mmengine.model import ExponentialMovingAverage
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class ForeachEMA(ExponentialMovingAverage):
    """mmengine's exponential moving average, updated for all tensors at once.

    Arguments, state-dict keys and results are mmengine's. The step counter is
    read from the device once instead of in each step.
    """

    _count: int | None = None  # ``steps`` on the host

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards a model.

        Args:
            model (nn.Module): The averaged network.
        """
        if self.update_buffers:
            super().update_parameters(model)
            return
        if self._count is None:
            self._count = int(self.steps)
        averaged, source = map(list, (self.module.parameters(), model.parameters()))
        if self._count == 0:
            torch._foreach_copy_(averaged, source)
        elif self._count % self.interval == 0:
            torch._foreach_lerp_(averaged, source, self.momentum)
        buffers = list(self.module.buffers())
        if buffers:
            torch._foreach_copy_(buffers, list(model.buffers()))
        self._count += 1
        self.steps.fill_(self._count)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._count = None
