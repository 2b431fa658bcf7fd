from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn
from torch.optim import SGD


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Mixed precision in bf16, on a CPU, too.

    mmengine's ``AmpOptimWrapper`` refuses to be built without an accelerator,
    and scales losses, which the range of bf16 does not need.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Run the forward pass under autocast.

        Args:
            model (nn.Module): The model.
        """
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


@OPTIMIZERS.register_module()
class LARC(SGD):
    """SGD of which each tensor's gradient is scaled by its weights' norm.

    Layer-wise adaptive rate control as the public code of `SwAV
    <https://arxiv.org/abs/2006.09882>`_ has it from apex, ``clip=False``: the
    gradient, with weight decay, is multiplied by ``trust · |w| / (|g| + wd ·
    |w|)`` before SGD's momentum sees it. mmpretrain's LARS multiplies by the
    learning rate there, too, so its momentum lags behind a schedule.

    Args:
        params: Parameters or groups of them.
        lr (float): Learning rate.
        momentum (float): Defaults to 0.
        weight_decay (float): Defaults to 0.
        trust_coefficient (float): Defaults to .001.
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
    def step(self, closure: Callable | None = None):
        """Scale the gradients, then make SGD's step without weight decay."""
        loss = None
        if closure is not None:  # it makes the gradients
            with torch.enable_grad():
                loss = closure()
        decays = [group['weight_decay'] for group in self.param_groups]
        for group in self.param_groups:
            for p in group['params']:
                if p.grad is not None:
                    self._scale(p, group['weight_decay'])
            group['weight_decay'] = 0.0
        try:
            super().step()
        finally:
            for group, decay in zip(self.param_groups, decays):
                group['weight_decay'] = decay
        return loss

    def _scale(self, p: torch.Tensor, decay: float) -> None:
        gradient: Any = p.grad
        weight, grad = p.norm(), gradient.norm()
        rate = self.trust_coefficient * weight / (grad + decay * weight + self.eps)
        scaled = gradient.add(p, alpha=decay) * rate
        # of a tensor of zeros the gradient stays as it is, as in apex
        gradient.copy_(torch.where((weight > 0) & (grad > 0), scaled, gradient))
