from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError
from .tap import Pass, StudentTap


class Seen(NamedTuple):
    """What a network makes of one view."""

    embeds: Tensor  # [N, D], of the student with gradient
    maps: tuple[Tensor, ...]  # [N, C, h, w] each, if they were recorded


Views = dict[int, Seen]  # by index of the view


def by_view(tap: StudentTap, passes: Sequence[Pass], inputs: list[Tensor]) -> Views:
    """Sort what a network computed by views.

    Args:
        tap (StudentTap): Which tells rows.
        passes (Sequence[Pass]): Of the student or the teacher.
        inputs (list[Tensor]): Views, [N, 3, H, W] each.

    Returns:
        dict[int, Seen]: By index of the view.
    """
    parts: dict[int, list[Seen]] = {}
    for batch in passes:
        for view, rows in tap.rows_of(batch.images, inputs):
            parts.setdefault(view, []).append(
                Seen(batch.embeds[rows], tuple(m[rows] for m in batch.maps))
            )
    return {
        view: Seen(
            torch.cat([p.embeds for p in found]),
            tuple(map(torch.cat, zip(*(p.maps for p in found)))),
        )
        for view, found in parts.items()
    }


def images_for(
    tap: StudentTap,
    losses: Sequence[nn.Module],
    passes: Sequence[Pass],
    inputs: list[Tensor],
) -> list[Tensor]:
    """What the teacher has to see: the views that some loss is for.

    Args:
        tap (StudentTap): Which tells rows.
        losses (Sequence[nn.Module]): Of distillation. One of bags of images
            wants of the teacher but the second of its ``views``.
        passes (Sequence[Pass]): Of the student.
        inputs (list[Tensor]): Views, [N, 3, H, W] each.

    Returns:
        list[Tensor]: Batches of images.
    """
    bags = {loss.views[1] for loss in losses if of_bags(loss)}
    wanted = set(bags)
    for loss in losses:
        views = getattr(loss, 'views', None)
        if not of_bags(loss):
            wanted.update(range(len(inputs)) if views is None else views)
    seen = {view for p in passes for view, _ in tap.rows_of(p.images, inputs)}
    images = [
        p.images
        for p in passes
        if any(view in wanted for view, _ in tap.rows_of(p.images, inputs))
    ]
    if bags and max(bags) >= len(inputs):
        raise InputError(
            f'the teacher is to see view {max(bags)}, the data '
            f'give {len(inputs)}: set views of the loss'
        )
    return images + [inputs[view] for view in sorted(bags - seen)]


def of_bags(loss: nn.Module) -> bool:
    """Whether a loss takes an anchor and a member of its bag: BINGO's."""
    return getattr(loss, 'wants_member', False)


def matched(student: Views, teacher: Views) -> tuple[Tensor, Tensor]:
    """Embeddings to compare in the log, of the teacher's views.

    The student's are of the same view, or of its first where it has not
    embedded that one.

    Returns:
        tuple[Tensor, Tensor]: The student's and the teacher's, [M, D].
    """
    first = next(iter(student.values()))
    return tuple(
        torch.cat([seen.embeds for seen in found])
        for found in ([student.get(view, first) for view in teacher], teacher.values())
    )


def distill_views(
    loss: nn.Module,
    student: Views,
    teacher: Views,
    keys: dict[int, Tensor] | None = None,
) -> Tensor:
    """Sum a distillation loss over the views that it is for.

    Args:
        loss (nn.Module): Its ``views`` are those views, None for all. Its
            ``on`` is 'embed' or 'feat', what it compares.
        student (dict[int, Seen]): By view.
        teacher (dict[int, Seen]): By view.
        keys (dict[int, Tensor], optional): The momentum student's embeddings
            by view, [N, D], for a loss that ``takes_key``. Defaults to None.

    Raises:
        ValueError: If the student has embedded none of them.
    """
    views = getattr(loss, 'views', None)
    if of_bags(loss):
        anchor, target, member = views
        if not {anchor, member} <= student.keys():
            raise InputError(
                f'{type(loss).__name__} wants the student to embed the views '
                f'{anchor} and {member}, it has embedded {list(student)}: set '
                'model.ssl.views'
            )
        return loss(
            student[anchor].embeds, teacher[target].embeds, student[member].embeds
        )
    wanted = [v for v in student if views is None or v in views]
    if not wanted:
        raise InputError(
            f'{type(loss).__name__} is for the views {list(views)}, the '
            f'student has embedded {list(student)}: set its views, or '
            'model.extra_views'
        )
    what = 'maps' if getattr(loss, 'on', 'embed') == 'feat' else 'embeds'
    total = 0.0
    for view in wanted:
        args = [getattr(seen[view], what) for seen in (student, teacher)]
        if getattr(loss, 'wants_view', False):
            args.append(view)
        if getattr(loss, 'takes_key', False) and keys is not None:
            args.append(keys[view])
        total = total + loss(*args)
    return total
