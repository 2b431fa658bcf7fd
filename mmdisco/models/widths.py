from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError
from .losses.feature_queue import FeatureQueue
from .tap import embed_dim, unwrap

# what enters a loss's queue, and the option that is its width
_QUEUES = dict(
    queue=('teacher', 'embed_dim'),
    teacher_memory=('teacher', 'teacher_dim'),
    student_memory=('student', 'student_dim'),
)


def width_of(network: nn.Module) -> int | None:
    """Width of a network's embeddings; None if it can't be told.

    Args:
        network (nn.Module): With ``backbone`` and ``neck``. Where the neck
            has no linear layer, one blank image goes through both.
    """
    width = embed_dim(network.neck)
    if width is not None:
        return width
    parts = network.backbone, network.neck
    training = [(m, m.training) for part in parts for m in part.modules()]
    for part in parts:
        part.eval()
    try:
        weight = next(network.backbone.parameters())
        with torch.no_grad():
            embeds = unwrap(
                network.neck(network.backbone(weight.new_zeros(1, 3, 64, 64)))
            )  # [1, D]
        return embeds.shape[1] if embeds.dim() == 2 else None
    except Exception:  # wants images of its own size, or anything else
        return None
    finally:
        for module, mode in training:
            module.training = mode


def check_widths(
    ssl: nn.Module, teacher: nn.Module, losses: Sequence[nn.Module]
) -> None:
    """Compare the widths of both embeddings, where the networks tell.

    Args:
        ssl (nn.Module): The student's backbone and neck.
        teacher (nn.Module): The teacher's.
        losses (Sequence[nn.Module]): Of which each may have an ``adapter``,
            a linear layer from the student's width to the teacher's, compare
            embeddings of ``any_width``, and have queues.

    Raises:
        ValueError: If they differ and there is no adapter, or it or a queue
            does not fit.
    """
    if all(getattr(loss, 'on', 'embed') == 'feat' for loss in losses):
        return
    widths = dict(student=width_of(ssl), teacher=width_of(teacher))
    if None in widths.values():
        return
    for i, loss in enumerate(losses):
        where = f'model.distill{f".{i}" if len(losses) > 1 else ""}'
        _check_queues(loss, where, widths)
        if not getattr(loss, 'any_width', False) and (
            getattr(loss, 'on', 'embed') == 'embed'
        ):
            _check_adapter(loss, f'{where}.adapter', *widths.values())


def _check_queues(loss: nn.Module, where: str, widths: dict) -> None:
    prototypes = getattr(loss, 'prototypes', None)
    if isinstance(prototypes, Tensor) and (prototypes.shape[1] != widths['teacher']):
        raise InputError(
            f'the last layer in the file of {type(loss).__name__} is for '
            f'{prototypes.shape[1]}-d embeddings, the teacher gives '
            f"{widths['teacher']}-d ones: name the teacher's file"
        )
    for name, (network, option) in _QUEUES.items():
        queue = getattr(loss, name, None)
        if isinstance(queue, FeatureQueue) and (queue.rows.shape[1] != widths[network]):
            raise InputError(
                f'{where}.{option} is {queue.rows.shape[1]}, the {network} '
                f'gives {widths[network]}-d embeddings: set it to '
                f'{widths[network]}'
            )


def _check_adapter(loss: nn.Module, where: str, out: int, wanted: int) -> None:
    adapter = getattr(loss, 'adapter', None)
    if adapter is None and out != wanted:
        hint = (
            f', or {where}.in_features={out} and {where}.out_features={wanted}'
            if hasattr(loss, 'adapter')
            else ''
        )
        raise InputError(
            f'teacher gives {wanted}-d embeddings, student {out}-d: set '
            f'model.ssl.neck.out_channels to {wanted}{hint}'
        )
    if adapter is None:
        return
    widths = adapter.in_features, adapter.out_features
    if widths != (out, wanted):
        raise InputError(
            f'{where} goes from {widths[0]} to {widths[1]}, but the student '
            f'gives {out}-d embeddings and the teacher {wanted}-d ones'
        )


def check_files(teacher: nn.Module, parts: Sequence[nn.Module]) -> None:
    """Compare the file of the teacher with those that other parts have read.

    Raises:
        ValueError: If one has read another.
    """
    for part in parts:
        read = getattr(part, 'sha256', None)
        if read and teacher.sha256 and read != teacher.sha256:
            raise InputError(
                f'{type(part).__name__} has read another file than the '
                f"teacher's '{teacher.checkpoint}': name that one"
            )
