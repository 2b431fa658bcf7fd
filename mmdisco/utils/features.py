from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from mmengine.model import is_model_wrapper
from torch import Tensor, nn


def unwrapped(model: nn.Module) -> Any:
    """The model in DistributedDataParallel, or the model itself."""
    return model.module if is_model_wrapper(model) else model


def pooled(output: Tensor | Sequence[Tensor]) -> Tensor:
    """Make one vector of an image of what a backbone gives.

    Args:
        output (Tensor or Sequence[Tensor]): Maps [N, D, H, W], tokens
            [N, L, D] or vectors [N, D]; of several, the last are taken.

    Returns:
        Tensor: Means over positions or tokens, fp32, detached, [N, D].
    """
    while not isinstance(output, Tensor):
        output = output[-1]
    output = output.detach().float()
    if output.dim() == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.dim() == 3 else output


def gather_rows(rows: Tensor, total: int) -> Tensor:
    """Gather what the ranks have of a list, in its order.

    Args:
        rows (Tensor): Rows ``rank::world_size`` of the list, [n, D].
        total (int): Length of the list; any number.

    Returns:
        Tensor: The list, on each rank, [total, D].
    """
    most = -(-total // get_world_size())
    padded = F.pad(rows, (0, 0, 0, most - len(rows)))  # [most, D]
    return torch.stack(all_gather(padded), 1).flatten(0, 1)[:total]
