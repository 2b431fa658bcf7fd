from collections.abc import Sequence
from inspect import signature
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError
from .maps import MapRecorder

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
