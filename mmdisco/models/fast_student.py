import torch
from mmengine.model import BaseAveragedModel
from torch import nn

from .depthwise import fast_depthwise


def encoders(model: nn.Module) -> list[nn.Module]:
    """Find backbone and neck of what learns, and their momentum copies.

    Args:
        model (nn.Module): A self-supervised algorithm, or a model with one
            as ``ssl``.

    Returns:
        list[nn.Module]: The student's parts, then those of each copy.
    """
    ssl = getattr(model, 'ssl', model)
    parts = [getattr(ssl, name, None) for name in ('backbone', 'neck')]
    for module in ssl.modules():
        if isinstance(module, BaseAveragedModel) and isinstance(
            module.module, nn.Sequential
        ):
            parts += list(module.module)
    return [part for part in parts if part is not None]


def speed_up_student(model: nn.Module, channels_last: bool, compile: bool) -> None:
    """Have a model's encoders run faster; names of weights stay.

    To be done before the model is wrapped by DDP, whose buckets have the
    layout of the weights.

    Args:
        model (nn.Module): The model, changed in place.
        channels_last (bool): Whether to lay out weights so; activations
            follow.
        compile (bool): Whether to ``torch.compile`` each encoder. What hooks
            on it see stays outside.
    """
    if channels_last:
        model.to(memory_format=torch.channels_last)
    for part in encoders(model):
        fast_depthwise(part)
        if compile:
            # a method, so that a copy of the part runs its own weights
            compiled = torch.compile(type(part).forward)
            part.forward = compiled.__get__(part)
