"""What a network computes of each view, recorded without changing the network."""

from collections.abc import Collection, Sequence
from inspect import signature
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError
from .necks import FeatureNeck

Rows = dict[int, slice]  # rows of a batch by index of the view


class Network(Protocol):
    """A network that embeds images by ``neck(backbone(images))``."""

    backbone: nn.Module
    neck: nn.Module


class Batch(NamedTuple):
    """Images that go through a network together.

    Attributes:
        images (Tensor): [M, 3, H, W].
        rows (dict[int, slice]): Which of the M belong to which view.
    """

    images: Tensor
    rows: Rows


class ForwardRecord(NamedTuple):
    """A forward pass.

    Attributes:
        images (Tensor): [M, 3, H, W].
        maps (tuple[Tensor]): Feature maps [M, C, h, w], large to small. Empty
            unless they are recorded.
        embeds (Tensor): [M, D]. The student's have a gradient.
    """

    images: Tensor
    maps: tuple[Tensor, ...]
    embeds: Tensor


class ViewOutputs(NamedTuple):
    """Outputs of a network for one view.

    Attributes:
        embeds (Tensor): [N, D].
        maps (tuple[Tensor]): Feature maps [N, C, h, w], large to small. Empty
            unless they are recorded.
    """

    embeds: Tensor
    maps: tuple[Tensor, ...]


Views = dict[int, ViewOutputs]  # by index of the view


def by_view(batches: Sequence[Batch], records: Sequence[ForwardRecord]) -> Views:
    """Sort outputs by view.

    Args:
        batches (Sequence[Batch]): Which rows belong to which view.
        records (Sequence[ForwardRecord]): Outputs for each batch.

    Returns:
        dict[int, ViewOutputs]: Outputs by index of the view.
    """
    parts: dict[int, list[ViewOutputs]] = {}
    for batch, record in zip(batches, records):
        for view, rows in batch.rows.items():
            parts.setdefault(view, []).append(
                ViewOutputs(record.embeds[rows], tuple(m[rows] for m in record.maps))
            )
    return {
        view: ViewOutputs(
            torch.cat([p.embeds for p in outputs]),
            tuple(map(torch.cat, zip(*(p.maps for p in outputs)))),
        )
        for view, outputs in parts.items()
    }


def unwrap(output: Tensor | Sequence) -> Tensor:
    """First tensor of a neck's output: ``(x, )``, ``[x, …]`` or ``x``."""
    while not isinstance(output, Tensor):
        output = output[0]
    return output


def embed_dim(neck: nn.Module) -> int | None:
    """Width of a neck's embeddings: stated, or that of its last linear layer."""
    if isinstance(neck, FeatureNeck):
        return neck.out_channels
    widths = [m.out_features for m in neck.modules() if isinstance(m, nn.Linear)]
    return widths[-1] if widths else None


def width_of(network: Any) -> int | None:
    """Width of a network's embeddings.

    Args:
        network (nn.Module): A :class:`Network`, or a :class:`StoredTeacher`. If the
            neck has no linear layer, one blank image goes through the network.

    Returns:
        int, optional: None if it can't be determined.
    """
    if hasattr(network, 'width'):  # a stored teacher
        return network.width
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
    except Exception:  # the network needs another size of image, for instance
        return None
    finally:
        for module, mode in training:
            module.training = mode


class MapRecorder:
    """Records the last feature map of each spatial size of a CNN.

    Networks differ in the names and channels of their stages, but not in the
    spatial sizes for one input size, so sizes pair the maps of two networks.
    The hooks live inside the ``with`` block.

    Args:
        backbone (nn.Module): The CNN.
        num (int): Number of maps, the smallest. Maps of one pixel are left
            out. Defaults to 4: 56, 28, 14 and 7 pixels for an image of 224,
            without the stem.
    """

    def __init__(self, backbone: nn.Module, num: int = 4) -> None:
        self.backbone = backbone
        self.num = num

    def __enter__(self) -> 'MapRecorder':
        self._maps: dict[tuple[int, ...], Tensor] = {}
        self._hooks = [
            stage.register_forward_hook(self._record)
            for stage in _stages(self.backbone)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _record(self, _: nn.Module, args: tuple, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            size = tuple(output.shape[2:])
            if min(size) > 1:
                self._maps.pop(size, None)
                self._maps[size] = output

    def take(self) -> tuple[Tensor, ...]:
        """The maps since the last call, [N, C, h, w] each, large to small."""
        maps = tuple(self._maps.values())[-self.num :]
        self._maps = {}
        return maps


def _stages(backbone: nn.Module) -> list[nn.Module]:
    """Children of a backbone, and the children of its lists of layers."""
    stages: list[nn.Module] = []
    for child in backbone.children():
        lists = isinstance(child, (nn.ModuleList, nn.Sequential))
        stages += [*child.children()] if lists else [child]
        stages += [child] if isinstance(child, nn.Sequential) else []
    return stages


class StudentTap:
    """Records what the student of a self-supervised algorithm computes.

    The algorithms of mmpretrain call ``self.neck(self.backbone(x))``, and
    their momentum encoders are copies. So forward hooks on these two modules
    see the student alone. The hooks live inside the ``with`` block.

    Args:
        ssl (nn.Module): The algorithm, with ``backbone`` and ``neck``.
        maps (bool): Whether to record feature maps, too. Defaults to False.

    Attributes:
        records (list[ForwardRecord]): The forward passes, in order.

    Raises:
        InputError: If ``ssl`` has no backbone or neck, or masks its images;
            when the block ends without a pass; or if the output of the neck
            does not match the calls of the backbone.
    """

    def __init__(self, ssl: Network, maps: bool = False) -> None:
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
        self.records: list[ForwardRecord] = []
        self._pending: list[tuple[Tensor, tuple[Tensor, ...]]] = []
        self._recorder = MapRecorder(ssl.backbone) if maps else None
        self._inputs: Sequence[Tensor] = ()
        self._batches: list[Batch] = []

    def __enter__(self) -> 'StudentTap':
        self.records = []
        self._pending = []
        if self._recorder:
            self._recorder.__enter__()
        self._hooks = [
            self.ssl.backbone.register_forward_hook(self._after_backbone),
            self.ssl.neck.register_forward_hook(self._after_neck),
        ]
        return self

    def __exit__(self, error: type | None, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
        if self._recorder:
            self._recorder.__exit__()
        if error is None and (self._pending or not self.records):
            raise InputError(
                f'{self.name}: {len(self.records)} student passes and '
                f'{len(self._pending)} backbone calls without neck: DisCo '
                "can't pair its images with embeddings"
            )

    def _after_backbone(self, _: nn.Module, args: tuple, output: object) -> None:
        maps = self._recorder.take() if self._recorder else ()
        self._pending.append((args[0], maps))

    def _after_neck(self, _: nn.Module, args: tuple, output: Tensor | Sequence) -> None:
        embeds = unwrap(output)  # [M, D]
        rows = [len(images) for images, _ in self._pending]
        if not rows or embeds.dim() != 2 or sum(rows) != len(embeds):
            raise InputError(
                f'{self.name}: its neck gave embeddings {tuple(embeds.shape)} '
                f"for backbone batches of {rows} images: DisCo can't pair them"
            )
        for (images, maps), part in zip(self._pending, embeds.split(rows)):
            self.records.append(ForwardRecord(images, maps, part))
        self._pending.clear()

    def views(
        self, inputs: Sequence[Tensor], size: tuple[int, ...] | None = None
    ) -> Views:
        """The student's outputs by view.

        Args:
            inputs (Sequence[Tensor]): Views, [N, 3, H, W] each.
            size (tuple[int], optional): (H, W) of the views to return. Defaults
                to None, all that the student embedded.

        Returns:
            dict[int, ViewOutputs]: Outputs by index of the view.

        Raises:
            InputError: If some images belong to no view.
        """
        records = [r for r in self.records if size in (None, r.images.shape[2:])]
        self._inputs = inputs
        self._batches = [
            Batch(r.images, self.rows_of(r.images, inputs)) for r in records
        ]
        return by_view(self._batches, records)

    def batches_of(self, views: Collection[int]) -> list[Batch]:
        """Batches in which the teacher embeds views, after :meth:`views`.

        They are the student's batches that hold one of these views, since the
        batch matters to a teacher with ``norm_mode='batch'``, and one batch
        for each view that the student did not embed.

        Args:
            views (Collection[int]): Indices of views.

        Raises:
            InputError: If there are fewer views.
        """
        missing = sorted({*views}.difference(*(b.rows for b in self._batches)))
        if missing and missing[-1] >= len(self._inputs):
            raise InputError(
                f'the teacher needs view {missing[-1]}, the data give '
                f'{len(self._inputs)}: set views of the loss'
            )
        return [b for b in self._batches if b.rows.keys() & views] + [
            Batch(self._inputs[view], {view: slice(None)}) for view in missing
        ]

    def rows_of(self, images: Tensor, views: Sequence[Tensor]) -> Rows:
        """Find the rows of each view in a batch of the student.

        A batch is a view itself, or holds several of one size, one after the
        other (SwAV) or interleaved (SimCLR).

        Args:
            images (Tensor): A batch of the student, [M, 3, H, W].
            views (Sequence[Tensor]): The algorithm's inputs, [N, 3, H, W].

        Returns:
            dict[int, slice]: Rows by index of the view.

        Raises:
            InputError: If some rows belong to no view.
        """
        for index, view in enumerate(views):
            if images is view:
                return {index: slice(None)}
        num = len(views[0])
        parts = max(len(images) // num, 1)
        slices = [slice(i * num, (i + 1) * num) for i in range(parts)]
        slices += [slice(i, None, parts) for i in range(parts)]
        rows: Rows = {}
        for index, view in enumerate(views):
            if len(rows) < parts and view.shape[1:] == images.shape[1:]:
                # mostly the next rows: each comparison waits for the device
                order = slices[len(rows) :] + slices[: len(rows)]
                for candidate in order:
                    if torch.equal(images[candidate], view):
                        rows[index] = candidate
                        break
        if len(rows) < parts or parts * num != len(images):
            raise InputError(
                f"{self.name}: can't find the {len(views)} views in a batch of the "
                f'student of shape {tuple(images.shape)}'
            )
        return rows
