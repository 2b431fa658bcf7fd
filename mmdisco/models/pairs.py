from typing import Dict, List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError
from .tap import StudentPass, StudentTap

Maps = Tuple[Tensor, ...]


class Pair(NamedTuple):
    """What student and teacher make of one view."""
    student: Tensor  # [N, D], with gradient
    teacher: Tensor  # [N, D]
    student_maps: Maps  # [N, C, h, w] each, if they were recorded
    teacher_maps: Maps


def _rows(maps: Maps, rows: slice) -> Maps:
    return tuple(m[rows] for m in maps)


def view_pairs(tap: StudentTap, passes: Sequence[StudentPass],
               targets: Sequence[Tensor], target_maps: Sequence[Maps],
               inputs: List[Tensor]) -> Dict[int, Pair]:
    """Sort what was computed by views.

    Args:
        tap (StudentTap): Which tells rows.
        passes (Sequence[StudentPass]): Of the student.
        targets (Sequence[Tensor]): The teacher's embeddings, [M, D] for each
            pass.
        target_maps (Sequence[tuple]): Its feature maps for each pass.
        inputs (list[Tensor]): Views, [N, 3, H, W] each.

    Returns:
        dict[int, Pair]: By index of the view.
    """
    parts: Dict[int, List[Pair]] = {}
    for seen, target, maps in zip(passes, targets, target_maps):
        for view, rows in tap.rows_of(seen.images, inputs):
            parts.setdefault(view, []).append(Pair(
                seen.embeds[rows], target[rows], _rows(seen.maps, rows),
                _rows(maps, rows)))
    return {view: Pair(
        torch.cat([p.student for p in found]),
        torch.cat([p.teacher for p in found]),
        *(tuple(map(torch.cat, zip(*(p[i] for p in found)))) for i in (2, 3)))
        for view, found in parts.items()}


def distill_views(loss: nn.Module, pairs: Dict[int, Pair]) -> Tensor:
    """Sum a distillation loss over the views that it is for.

    Args:
        loss (nn.Module): Its ``views`` are those views, None for all. Its
            ``on`` is 'embed' or 'feat', what it compares.
        pairs (dict[int, Pair]): By view.

    Raises:
        ValueError: If the student has embedded none of them.
    """
    views = getattr(loss, 'views', None)
    if getattr(loss, 'wants_member', False):  # of a bag: BINGO
        missing = set(views) - pairs.keys()
        if missing:
            raise InputError(
                f'{type(loss).__name__} wants the student to embed the views '
                f'{list(views)}, it has embedded {list(pairs)}')
        anchor, target, member = (pairs[view] for view in views)
        return loss(anchor.student, target.teacher, member.student)
    wanted = [v for v in pairs if views is None or v in views]
    if not wanted:
        raise InputError(
            f'{type(loss).__name__} is for the views {list(views)}, the '
            f'student has embedded {list(pairs)}: set its views, or '
            'model.extra_views')
    total = 0.
    for view in wanted:
        pair = pairs[view]
        args = pair[2:] if getattr(loss, 'on', 'embed') == 'feat' else pair[:2]
        more = (view, ) if getattr(loss, 'wants_view', False) else ()
        total = total + loss(*args, *more)
    return total
