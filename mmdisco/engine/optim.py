"""Optimizer and optimizer wrapper beyond mmengine's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import Tensor, nn
from torch.optim import SGD


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Mixed precision in bf16, on CPUs and GPUs.

    mmengine's ``AmpOptimWrapper`` needs an accelerator, and scales losses, which
    the range of bf16 does not require.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast.

        Args:
            model (nn.Module): The model.
        """
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


@OPTIMIZERS.register_module()
class LARC(SGD):
    """SGD with layer-wise adaptive rates (LARC).

    As in the public code of `SwAV <https://arxiv.org/abs/2006.09882>`_, which
    uses apex with ``clip=False``: each tensor's gradient, with weight decay, is
    multiplied by ``trust · |w| / (|g| + wd · |w|)`` before SGD's momentum.
    mmpretrain's LARS multiplies by the learning rate there, too, so its momentum
    lags behind a schedule.

    Args:
        params (Iterable): Parameters or parameter groups.
        lr (float): Learning rate.
        momentum (float): Momentum. Defaults to 0.
        weight_decay (float): Weight decay. Defaults to 0.
        trust_coefficient (float): Trust coefficient. Defaults to .001.
        eps (float): Added to the divisor. Defaults to 1e-8.
    """

    def __init__(
        self,
        params,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.trust_coefficient, self.eps = trust_coefficient, eps

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Any:
        """Scale the gradients, then do SGD's step without weight decay."""
        loss = None
        if closure is not None:  # it computes the gradients
            with torch.enable_grad():
                loss = closure()
        decays = [group['weight_decay'] for group in self.param_groups]
        for group in self.param_groups:
            for p in group['params']:
                if p.grad is not None:
                    self._scale(p, p.grad, group['weight_decay'])
            group['weight_decay'] = 0.0
        try:
            super().step()
        finally:
            for group, decay in zip(self.param_groups, decays):
                group['weight_decay'] = decay
        return loss

    def _scale(self, weight: Tensor, grad: Tensor, decay: float) -> None:
        w, g = weight.norm(), grad.norm()
        rate = self.trust_coefficient * w / (g + decay * w + self.eps)
        scaled = grad.add(weight, alpha=decay) * rate
        # the gradient of an all-zero tensor is not scaled, as in apex
        grad.copy_(torch.where((w > 0) & (g > 0), scaled, grad))
