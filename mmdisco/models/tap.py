from collections.abc import Sequence
from inspect import signature
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError


def _stages(backbone: nn.Module) -> list[nn.Module]:
    """Children of a backbone, and those of its lists of layers."""
    found = []
    for child in backbone.children():
        lists = isinstance(child, (nn.ModuleList, nn.Sequential))
        found += [*child.children()] if lists else [child]
        found += [child] if isinstance(child, nn.Sequential) else []
    return found


class MapRecorder:
    """Keeps the last feature map of each spatial size that a CNN computes.

    Stages of networks have other names and numbers of channels, but at one
    input size the same spatial sizes; so maps of two networks are paired by
    these. The hooks live inside the ``with`` block.

    Args:
        backbone (nn.Module): The CNN.
        num (int): So many of the smallest sizes are kept, those of one pixel
            left out. Defaults to 4: without the stem, at 224 pixels 56, 28,
            14 and 7.
    """

    def __init__(self, backbone: nn.Module, num: int = 4) -> None:
        self.backbone = backbone
        self.num = num

    def __enter__(self) -> 'MapRecorder':
        self._maps: dict[tuple[int, int], Tensor] = {}
        self._hooks = [
            stage.register_forward_hook(self._saw) for stage in _stages(self.backbone)
        ]
        return self

    def __exit__(self, *_) -> None:
        for hook in self._hooks:
            hook.remove()

    def _saw(self, _, args, output) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            size = tuple(output.shape[2:])
            if min(size) > 1:
                self._maps.pop(size, None)
                self._maps[size] = output

    def take(self) -> tuple[Tensor, ...]:
        """The maps since the last call, [N, C, H, W] each, large to small."""
        maps = tuple(self._maps.values())[-self.num :]
        self._maps = {}
        return maps


# A student pass may be part of a batch of several views: rows are slices.
Rows = tuple[int, slice]


def unwrap(output: Tensor | Sequence) -> Tensor:
    """First tensor of what a neck returns: ``(x, )``, ``[x, …]`` or ``x``."""
    while not isinstance(output, Tensor):
        output = output[0]
    return output


def embed_dim(neck: nn.Module) -> int | None:
    """Width of a neck's embeddings: that of its last linear layer."""
    widths = [m.out_features for m in neck.modules() if isinstance(m, nn.Linear)]
    return widths[-1] if widths else None


class Pass(NamedTuple):
    """One batch on its way through a network."""

    images: Tensor  # [M, 3, H, W]
    maps: tuple[Tensor, ...]  # of its stages, [M, C, h, w]; none unless asked
    embeds: Tensor  # [M, D], of the student with gradient


class StudentTap:
    """Records what the student of a self-supervised algorithm computes.

    The algorithms of mmpretrain call ``self.neck(self.backbone(x))``, and
    their momentum encoders are copies; so forward hooks on the two see the
    student and only the student. The hooks live inside the ``with`` block.

    Args:
        ssl (nn.Module): The algorithm, with ``backbone`` and ``neck``.
        maps (bool): Whether to record feature maps, too. Defaults to False.

    Raises:
        ValueError: If ``ssl`` has no backbone or neck, or masks its images;
            when the block ends without a pass, or a neck call does not answer
            backbone calls.
    """

    def __init__(self, ssl: nn.Module, maps: bool = False) -> None:
        self.name = type(ssl).__name__
        for part in ('backbone', 'neck'):
            if not isinstance(getattr(ssl, part, None), nn.Module):
                raise InputError(
                    f'{self.name} has no {part}, so its student embeddings '
                    "can't be tapped: DisCo needs neck(backbone(images))"
                )
        masks = signature(type(ssl.backbone).forward).parameters.keys() | {*vars(ssl)}
        if masks & {'mask', 'mask_ratio'}:  # the latter SparK's
            raise InputError(
                f'{self.name} learns from what it masks in one image, and its '
                'neck embeds no view: DisCo needs a method of several views'
            )
        self.ssl = ssl
        self._recorder = MapRecorder(ssl.backbone) if maps else None
        self._rows: dict[int, list[Rows]] = {}  # by id of a batch

    def __enter__(self) -> 'StudentTap':
        self.passes: list[Pass] = []
        self._pending = []
        self._rows.clear()
        if self._recorder:
            self._recorder.__enter__()
        self._hooks = [
            self.ssl.backbone.register_forward_hook(self._saw_backbone),
            self.ssl.neck.register_forward_hook(self._saw_neck),
        ]
        return self

    def __exit__(self, error, *_) -> None:
        for hook in self._hooks:
            hook.remove()
        if self._recorder:
            self._recorder.__exit__()
        if error is None and (self._pending or not self.passes):
            raise InputError(
                f'{self.name}: {len(self.passes)} student passes and '
                f'{len(self._pending)} backbone calls without neck: DisCo '
                "can't pair its images with embeddings"
            )

    def _saw_backbone(self, _, args, output) -> None:
        maps = self._recorder.take() if self._recorder else ()
        self._pending.append((args[0], maps))

    def _saw_neck(self, _, args, output) -> None:
        embeds = unwrap(output)  # [M, D]
        rows = [len(images) for images, _ in self._pending]
        if not rows or embeds.dim() != 2 or sum(rows) != len(embeds):
            raise InputError(
                f'{self.name}: its neck gave embeddings {tuple(embeds.shape)} '
                f"for backbone batches of {rows} images: DisCo can't pair them"
            )
        for (images, maps), part in zip(self._pending, embeds.split(rows)):
            self.passes.append(Pass(images, maps, part))
        self._pending.clear()

    @property
    def images(self) -> list[Tensor]:
        """The batches that the student saw, in order."""
        return [p.images for p in self.passes]

    def rows_of(self, images: Tensor, views: Sequence[Tensor]) -> list[Rows]:
        """Tell which rows of a student batch belong to which view.

        A batch is a view itself, or holds several of one size, one after the
        other (SwAV) or interleaved (SimCLR).

        Args:
            images (Tensor): A batch that the student saw, [M, 3, H, W].
            views (Sequence[Tensor]): The algorithm's inputs, [N, 3, H, W].

        Returns:
            list[tuple[int, slice]]: Index of the view, its rows.

        Raises:
            ValueError: If some rows are of no view.
        """
        if id(images) not in self._rows:  # of what self.passes keeps alive
            self._rows[id(images)] = self._find_rows(images, views)
        return self._rows[id(images)]

    def _find_rows(self, images: Tensor, views: Sequence[Tensor]) -> list[Rows]:
        for index, view in enumerate(views):
            if images is view:
                return [(index, slice(None))]
        found, num = [], len(views[0])
        parts = max(len(images) // num, 1)
        slices = [slice(i * num, (i + 1) * num) for i in range(parts)]
        slices += [slice(i, None, parts) for i in range(parts)]
        for index, view in enumerate(views):
            if view.shape[1:] == images.shape[1:]:
                # mostly the next rows: each comparison waits for the device
                order = slices[len(found) :] + slices[: len(found)]
                found += [
                    (index, rows)
                    for rows in islice(
                        (r for r in order if torch.equal(images[r], view)), 1
                    )
                ]
        if len(found) < parts or parts * num != len(images):
            raise InputError(
                f"{self.name}: can't tell to which of the {len(views)} views "
                f'the rows of a student batch {tuple(images.shape)} belong'
            )
        return found[:parts]


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
