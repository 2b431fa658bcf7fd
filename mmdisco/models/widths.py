from typing import Sequence

from torch import nn

from mmdisco.errors import InputError
from .tap import embed_dim


def check_widths(student: nn.Module, teacher: nn.Module,
                 losses: Sequence[nn.Module]) -> None:
    """Compare the widths of both embeddings, where the necks tell.

    Args:
        student (nn.Module): The student's neck.
        teacher (nn.Module): The teacher's neck.
        losses (Sequence[nn.Module]): Of which each may have an ``adapter``,
            a linear layer from the student's width to the teacher's, or
            compare embeddings of ``any_width``.

    Raises:
        ValueError: If they differ and there is no adapter, or it does not fit.
    """
    out, wanted = embed_dim(student), embed_dim(teacher)
    if not (out and wanted):
        return
    for i, loss in enumerate(losses):
        where = f'model.distill{f".{i}" if len(losses) > 1 else ""}.adapter'
        prototypes = getattr(loss, 'prototypes', None)
        if prototypes is not None and prototypes.shape[1] != wanted:
            raise InputError(
                f"the last layer in the file of {type(loss).__name__} is for "
                f'{prototypes.shape[1]}-d embeddings, the teacher gives '
                f"{wanted}-d ones: name the teacher's file")
        adapter = getattr(loss, 'adapter', None)
        if getattr(loss, 'any_width', False):
            continue
        if adapter is None and out != wanted:
            hint = (f', or {where}.in_features={out} and '
                    f'{where}.out_features={wanted}'
                    if hasattr(loss, 'adapter') else '')
            raise InputError(
                f'teacher gives {wanted}-d embeddings, student {out}-d: set '
                f'model.ssl.neck.out_channels to {wanted}{hint}')
        if adapter is None:
            continue
        widths = adapter.in_features, adapter.out_features
        if widths != (out, wanted):
            raise InputError(
                f'{where} goes from {widths[0]} to {widths[1]}, '
                f'but the student gives {out}-d embeddings and the teacher '
                f'{wanted}-d ones')


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
                f"teacher's '{teacher.checkpoint}': name that one")
