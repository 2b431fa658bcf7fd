"""What a distillation loss asks of the student, before anything is trained."""

from collections.abc import Sequence

from mmengine.logging import print_log
from torch import nn

from mmdisco.errors import InputError
from .selfsup.momentum_student import MomentumStudent
from .selfsup.plain_student import PlainStudent
from .tap import of_bags


def check_losses(
    ssl: nn.Module, losses: Sequence[nn.Module], extra_views: Sequence[int]
) -> None:
    """Compare the losses with the student's algorithm.

    Args:
        ssl (nn.Module): The algorithm.
        losses (Sequence[nn.Module]): Of distillation.
        extra_views (Sequence[int]): That the student embeds besides.

    Raises:
        ValueError: If a loss learns from labels, is for views that the
            student does not embed, or wants another momentum encoder.
    """
    for loss in losses:
        if getattr(loss, 'wants_labels', False):
            raise InputError(
                f'{type(loss).__name__} learns from labels: it '
                'is for a classifier, not for DisCo'
            )
        if isinstance(ssl, PlainStudent):  # others tell their views later
            _check_views(loss, {*ssl.views, *extra_views})
        if getattr(loss, 'takes_key', False):
            _check_keys(ssl, loss, extra_views)


def _check_views(loss: nn.Module, seen: set) -> None:
    views, name = getattr(loss, 'views', None), type(loss).__name__
    if of_bags(loss) and not {views[0], views[2]} <= seen:
        raise InputError(
            f'{name} wants the student to embed the views {views[0]} and '
            f'{views[2]}, it embeds {sorted(seen)}: set model.ssl.views'
        )
    if views is not None and not of_bags(loss) and not seen & {*views}:
        raise InputError(
            f'{name} is for the views {list(views)}, the student embeds '
            f'{sorted(seen)}: set its views, or model.ssl.views'
        )


def _check_keys(ssl: nn.Module, loss: nn.Module, extra_views: Sequence[int]) -> None:
    name, memory = type(loss).__name__, loss.student_memory is not None
    moving = isinstance(ssl, MomentumStudent)
    if moving and not memory:
        raise InputError(
            f'{name} has one memory, of the teacher, and the MomentumStudent '
            'fills another: set student_dim, or model.ssl.type to PlainStudent'
        )
    if moving and extra_views:
        raise InputError(
            'a MomentumStudent has keys of its own views alone: '
            'name them in model.ssl.views, not extra_views'
        )
    if memory and not moving:
        print_log(
            f'{name}: {type(ssl).__name__} has no moving average for the '
            "student's memory, its own features enter: CompRess has a "
            'MomentumStudent',
            logger='current',
            level=30,
        )
