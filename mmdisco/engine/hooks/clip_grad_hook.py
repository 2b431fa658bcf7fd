import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class ClipGradHook(Hook):
    """Clips the gradient of each parameter by its own norm.

    So does `DINO <https://arxiv.org/abs/2104.14294>`_; mmengine's
    ``clip_grad`` takes the norm of all parameters together.

    Args:
        max_norm (float): Longest gradient of a parameter. Defaults to 3.
    """

    def __init__(self, max_norm: float = 3.0) -> None:
        self.max_norm = max_norm

    def before_train(self, runner) -> None:
        """From now on each step of the optimizer passes here first."""
        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(self._clip)

    def after_train(self, runner) -> None:
        """Let go of the optimizer."""
        self._handle.remove()

    @torch.no_grad()
    def _clip(self, optimizer, *_) -> None:
        grads = [
            p.grad
            for group in optimizer.param_groups
            for p in group['params']
            if p.grad is not None
        ]
        if not grads:
            return
        # a fused optimizer under fp16 divides by the scale in its step
        scale = getattr(optimizer, 'grad_scale', None)
        longest = self.max_norm * (1.0 if scale is None else scale)
        factors = [
            (longest / (norm + 1e-6)).clamp(max=1)
            for norm in torch._foreach_norm(grads)
        ]
        torch._foreach_mul_(grads, factors)
