import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class OptimizerLayoutHook(Hook):
    """Fits a resumed optimizer to this run's --speed.

    A checkpoint holds momentum in the memory layout of the weights that it
    was saved with, and the optimizer's ``fused``. torch's fused kernels walk
    through memory: with another layout they pair momentum and weights wrongly,
    without an error.
    """

    def before_train(self, runner) -> None:
        """Lay out the states as the weights; be fused if this run is."""
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        if optimizer is None:
            return
        for group in optimizer.param_groups:
            for flag in {'fused', 'foreach'} & group.keys():
                group[flag] = optimizer.defaults[flag]
        for param, state in optimizer.state.items():
            for name, value in state.items():
                if (
                    torch.is_tensor(value)
                    and value.shape == param.shape
                    and (value.stride() != param.stride())
                ):
                    state[name] = torch.empty_like(param).copy_(value)
