"""The interface of distillation losses."""

from collections.abc import Collection, Sequence
from functools import reduce
from inspect import signature
from operator import add
from typing import Literal, NamedTuple

from torch import Tensor, nn

from mmdisco.errors import InputError
from ..tap import Views


class EmbedSpec(NamedTuple):
    """What is known about a network's embeddings before training.

    Attributes:
        name (str): Class of the network, for messages.
        width (int, optional): D of its embeddings [N, D]. None if unknown.
        views (Sequence[int], optional): Views that it embeds. None if only the
            first step shows them.
        key_views (Sequence[int], optional): Views that its moving average
            embeds. None without a moving average.
        checkpoint (str, optional): File of its weights.
        sha256 (str, optional): Digest of that file.
    """

    name: str
    width: int | None = None
    views: Sequence[int] | None = None
    key_views: Sequence[int] | None = None
    checkpoint: str | None = None
    sha256: str | None = None

    def check_file(self, part: str, sha256: str | None) -> None:
        """Compare with the file that another part has read.

        Args:
            part (str): Name of the part.
            sha256 (str, optional): Digest of its file. None if it reads none.

        Raises:
            InputError: If the files differ.
        """
        if sha256 and self.sha256 and sha256 != self.sha256:
            raise InputError(
                f"{part} has read another file than the teacher's "
                f"'{self.checkpoint}': set both to the same file"
            )


class DistillLoss(nn.Module):
    """Base class of all distillation losses.

    A loss compares what the student and the frozen teacher compute for the
    same images. Most losses define ``__init__`` and ``forward`` only::

        forward(student, teacher) -> scalar

    ``student`` and ``teacher`` belong to one view. They are embeddings [N, D]
    and [N, E] if ``on`` is 'embed', or tuples of feature maps [N, C, h, w] if
    it is 'feat'. Only the student's have a gradient.

    :class:`DisCo` calls :meth:`check` when it is built and, in each step,
    :meth:`teacher_views` and :meth:`total`.

    Args:
        loss_weight (float): Factor of the loss, applied by ``forward``.
            Defaults to 1.
        views (Sequence[int], optional): Views that are distilled. Defaults to
            None, all that the student embeds.
        adapter (dict, optional): ``in_features``, ``out_features`` and
            ``bias`` of a linear layer from the student's width to the
            teacher's, applied by ``forward``, trained with the student and
            discarded afterwards. Defaults to None, no adapter.

    Attributes:
        on (str): What the loss compares, 'embed' or 'feat'. Set by the class,
            since ``--speed`` reads it from the config. Defaults to 'embed'.
        any_width (bool): Whether the embeddings may differ in width without
            an adapter. Such a loss does not pull them together, so that no
            cosine is logged. Defaults to False.
        needs_labels (bool): Whether ``forward`` takes labels as its third
            argument. Such a loss is for :class:`KDClassifier`. Defaults to
            False.
        sha256 (str, optional): Digest of the file that the loss has read. The
            teacher must have read the same file. Defaults to None.

    Raises:
        InputError: If ``adapter`` does not describe a linear layer.

    Example:
        >>> class SquaredDistance(DistillLoss):
        ...     def forward(self, student, teacher):  # [N, D] each
        ...         return self.loss_weight * (student - teacher).square().mean()
        >>> loss = SquaredDistance(loss_weight=2.0)
        >>> loss(torch.randn(4, 8), torch.randn(4, 8)).shape
        torch.Size([])
    """

    on: Literal['embed', 'feat'] = 'embed'
    any_width: bool = False
    needs_labels: bool = False
    sha256: str | None = None

    def __init__(
        self,
        loss_weight: float = 1.0,
        views: Sequence[int] | None = None,
        adapter: dict | None = None,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.views = views
        self.adapter = linear(adapter)

    def check(
        self, student: EmbedSpec, teacher: EmbedSpec, key: str = 'model.distill'
    ) -> None:
        """Check whether student and teacher suit the loss, before training.

        Args:
            student (EmbedSpec): The student.
            teacher (EmbedSpec): The teacher.
            key (str): Place of the loss in the config, for messages.

        Raises:
            InputError: If ``on`` is unknown, the loss needs labels, the student
                embeds none of its views, widths do not fit, or the loss has
                read another file than the teacher.
        """
        name = type(self).__name__
        if self.on not in ('embed', 'feat'):
            raise InputError(f"on of {name} is 'embed' or 'feat', got {self.on!r}")
        if self.needs_labels:
            raise InputError(
                f'{name} learns from labels: it is for a KDClassifier, not for DisCo'
            )
        if student.views is not None:
            self.teacher_views(student.views)
        if self.on == 'embed' and not self.any_width:
            self._check_adapter(student.width, teacher.width, f'{key}.adapter')
        teacher.check_file(name, self.sha256)

    def teacher_views(self, student_views: Collection[int]) -> set[int]:
        """Views that the teacher must embed for this loss.

        Args:
            student_views (Collection[int]): Views that the student embeds.

        Raises:
            InputError: If the student embeds none of the loss's views.
        """
        return set(self.distilled(student_views))

    def distilled(self, student_views: Collection[int]) -> list[int]:
        """Views of the student that are distilled.

        Raises:
            InputError: If there are none.
        """
        chosen = [v for v in student_views if self.views is None or v in self.views]
        if not chosen:
            raise InputError(
                f'{type(self).__name__} is for the views {list(self.views or ())}, '
                f'the student embeds {sorted(student_views)}: set its views, '
                'model.ssl.views or model.extra_views'
            )
        return chosen

    def total(
        self, student: Views, teacher: Views, keys: dict[int, Tensor] | None = None
    ) -> Tensor:
        """Sum of the loss over the views.

        Args:
            student (dict[int, ViewOutputs]): The student's outputs by view.
            teacher (dict[int, ViewOutputs]): The teacher's outputs by view,
                at least those of :meth:`teacher_views`.
            keys (dict[int, Tensor], optional): Embeddings [N, D] by view of
                the student's moving average, if it has one.

        Returns:
            Tensor: Scalar.
        """
        return reduce(
            add,
            (
                self(student[view].maps, teacher[view].maps)
                if self.on == 'feat'
                else self(student[view].embeds, teacher[view].embeds)
                for view in self.distilled(student)
            ),
        )

    def _check_adapter(self, out: int | None, target: int | None, key: str) -> None:
        if out is None or target is None:
            return
        if self.adapter is None and out != target:
            hint = (
                f', or {key}.in_features={out} and {key}.out_features={target}'
                if 'adapter' in signature(type(self)).parameters
                else ''
            )
            raise InputError(
                f'the teacher gives {target}-d embeddings, the student {out}-d: set '
                f'model.ssl.neck.out_channels to {target}{hint}'
            )
        if self.adapter is None:
            return
        widths = self.adapter.in_features, self.adapter.out_features
        if widths != (out, target):
            raise InputError(
                f'{key} goes from {widths[0]} to {widths[1]}, but the student '
                f'gives {out}-d embeddings and the teacher {target}-d ones: set '
                f'in_features={out} and out_features={target}'
            )

    def extra_repr(self) -> str:
        """Weight and views."""
        return f'loss_weight={self.loss_weight}, views={self.views}'


def linear(adapter: dict | None) -> nn.Linear | None:
    """Build the adapter of a loss.

    Args:
        adapter (dict, optional): ``in_features``, ``out_features``, ``bias``.

    Raises:
        InputError: If it is anything else.
    """
    if adapter is None:
        return None
    try:
        return nn.Linear(**adapter)
    except TypeError as error:
        raise InputError(
            f'the adapter of a loss takes in_features and out_features, got {adapter!r}'
        ) from error
