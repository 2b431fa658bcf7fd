from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn


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
