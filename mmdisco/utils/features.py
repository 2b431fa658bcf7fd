"""Pooling, unwrapping and gathering of features."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from mmengine.model import is_model_wrapper
from torch import Tensor, nn


def unwrapped(model: nn.Module) -> Any:
    """Remove a wrapper such as DistributedDataParallel from a model."""
    return model.module if is_model_wrapper(model) else model


def pooled(output: Tensor | Sequence[Tensor]) -> Tensor:
    """Pool the output of a backbone to one vector per image.

    Args:
        output (Tensor or Sequence[Tensor]): Maps [N, D, H, W], tokens
            [N, L, D] or vectors [N, D]; the last one of a sequence is used.

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
    """Gather rows distributed over the ranks, in their original order.

    Args:
        rows (Tensor): Rows ``rank::world_size`` of all rows, [n, D].
        total (int): Number of all rows; need not divide by the ranks.

    Returns:
        Tensor: All rows, on each rank, [total, D].
    """
    most = -(-total // get_world_size())
    padded = F.pad(rows, (0, 0, 0, most - len(rows)))  # [most, D]
    return torch.stack(all_gather(padded), 1).flatten(0, 1)[:total]
