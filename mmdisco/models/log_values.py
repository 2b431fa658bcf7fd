"""What a DisCo step puts into the log, and under which names.

``parse_losses`` of mmengine sums every key with 'loss' in it, and a component
called plainly 'loss' would overwrite the logged total.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def ssl_losses(losses: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Weight the losses of an algorithm and give them names of their own.

    Args:
        losses (dict[str, Tensor]): As the algorithm gives them; a value may
            be a list, whose sum is meant.
        weight (float): Factor of each loss.

    Returns:
        dict[str, Tensor]: 'loss…' as 'loss_ssl…', anything else as 'ssl_…'.
    """
    named = {}
    for key, value in losses.items():
        if 'loss' not in key:
            named[f'ssl_{key}'] = value
            continue
        value = value if isinstance(value, Tensor) else sum(value)
        named[key.replace('loss', 'loss_ssl', 1)] = weight * value
    return named


def distill_names(losses: Iterable[nn.Module]) -> list[str]:
    """'loss_distill' for one distillation loss, with a suffix for several."""
    kinds = [type(loss).__name__.removesuffix('Loss') for loss in losses]
    if len(kinds) == 1:
        return ['loss_distill']
    return [f'loss_distill_{i}_{kind}' for i, kind in enumerate(kinds)]


@torch.no_grad()
def monitor(
    student: Tensor, teacher: Tensor | None, adapter: nn.Module | None = None
) -> dict[str, Tensor]:
    """How close two embeddings are, and how far the student's spread.

    Args:
        student (Tensor): [M, D].
        teacher (Tensor, optional): [M, D], or of another width; None where
            no loss draws the two together.
        adapter (nn.Module, optional): From the student's width to it.

    Returns:
        dict[str, Tensor]: ``cosine``, their mean cosine if they are equally
        wide by then, and ``embed_std``,
        the standard deviation of the student's unit embeddings, mean over D.
    """
    with torch.autocast(student.device.type, enabled=False):
        adapted = student.float() if adapter is None else adapter(student.float())
        values = {}
        if teacher is not None and adapted.shape == teacher.shape:
            values['cosine'] = F.cosine_similarity(adapted, teacher.float()).mean()
    student = F.normalize(student.float(), dim=1)  # [M, D]
    return dict(**values, embed_std=student.std(0).mean())
