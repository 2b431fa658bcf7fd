"""What a DisCo step puts into the log, and under which names.

``parse_losses`` of mmengine sums every key with 'loss' in it, and a component
called plainly 'loss' would overwrite the logged total.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from .checks import check_losses
from .host import Part, SSLHost, build
from .selfsup.plain_student import PlainStudent
from .tap import StudentTap, by_view, distill_views, images_for, matched
from .teacher import FrozenTeacher
from .widths import check_files, check_widths


def ssl_losses(losses: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Weight the losses of an algorithm and give them names of their own.

    Args:
        losses (dict[str, Tensor]): As the algorithm gives them; a value may
            be a list, whose sum is meant.
        weight (float): Factor of each loss.

    Returns:
        dict[str, Tensor]: 'loss…' as 'loss_ssl…', anything else as 'ssl_…'.
    """
    named = {}
    for key, value in losses.items():
        if 'loss' not in key:
            named[f'ssl_{key}'] = value
            continue
        value = value if isinstance(value, Tensor) else sum(value)
        named[key.replace('loss', 'loss_ssl', 1)] = weight * value
    return named


def distill_names(losses: Iterable[nn.Module]) -> list[str]:
    """'loss_distill' for one distillation loss, with a suffix for several."""
    kinds = [type(loss).__name__.removesuffix('Loss') for loss in losses]
    if len(kinds) == 1:
        return ['loss_distill']
    return [f'loss_distill_{i}_{kind}' for i, kind in enumerate(kinds)]


@torch.no_grad()
def monitor(
    student: Tensor, teacher: Tensor | None, adapter: nn.Module | None = None
) -> dict[str, Tensor]:
    """How close two embeddings are, and how far the student's spread.

    Args:
        student (Tensor): [M, D].
        teacher (Tensor, optional): [M, D], or of another width; None where
            no loss draws the two together.
        adapter (nn.Module, optional): From the student's width to it.

    Returns:
        dict[str, Tensor]: ``cosine``, their mean cosine if they are equally
        wide by then, and ``embed_std``,
        the standard deviation of the student's unit embeddings, mean over D.
    """
    with torch.autocast(student.device.type, enabled=False):
        adapted = student.float() if adapter is None else adapter(student.float())
        values = {}
        if teacher is not None and adapted.shape == teacher.shape:
            values['cosine'] = F.cosine_similarity(adapted, teacher.float()).mean()
    student = F.normalize(student.float(), dim=1)  # [M, D]
    return dict(**values, embed_std=student.std(0).mean())


@MODELS.register_module()
class DisCo(SSLHost):
    """Distilled contrastive learning of a lightweight student.

    Implementation of `DisCo: Remedy Self-supervised Learning on Lightweight
    Models with Distilled Contrastive Learning
    <https://arxiv.org/abs/2104.09124>`_. While ``ssl`` learns its own task,
    its final embedding of each view is pulled towards that of a frozen
    teacher: :math:`L = L_{dis} + \\lambda L_{co}` (Eq. 2).

    Args:
        ssl (dict or nn.Module): A self-supervised algorithm, unmodified. It
            is the student: backbone, neck, head, and its momentum encoder.
        teacher (dict or nn.Module): A :class:`FrozenTeacher`. It is told the
            mean and deviation of the student's data preprocessor.
        distill (dict, nn.Module or list): Distillation loss of a view's
            student and teacher embeddings, ``loss(student, teacher)``; or
            several, which are summed.
        extra_views (Sequence[int]): Views that ``ssl`` does not send through
            its student and that are distilled, too. MoCo sees view 0 only,
            so ``(1, )`` adds the other. Defaults to ().
        distill_crops (str): 'all' distils every view that the student sees,
            'global' those as large as the first: small crops cost a teacher's
            pass each. Defaults to 'all'.
        ssl_weight (float): :math:`\\lambda`. Defaults to 1.
        data_preprocessor (dict or nn.Module, optional): Replaces that of
            ``ssl``. Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.

    Raises:
        TypeError: If a part is neither a config dict nor a module.
        ValueError: If ``ssl`` has no backbone or neck or embeds no views, its
            embeddings and the teacher's differ in width and the loss has no
            adapter for them, or ``distill_crops`` is unknown.
    """

    # its own, whatever the algorithm has under these names
    extra_views = ssl_weight = distill_crops = None

    def __init__(
        self,
        ssl: Part,
        teacher: Part,
        distill: Part | Sequence[Part],
        extra_views: Sequence[int] = (),
        distill_crops: str = 'all',
        ssl_weight: float = 1.0,
        data_preprocessor: Part | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(ssl, data_preprocessor, init_cfg)
        # In a tuple, the frozen teacher is no submodule: not in state_dict,
        # optimizer, DDP or init_weights. _apply below moves it along.
        self._teacher = (build(teacher, 'teacher'),)
        losses = distill if isinstance(distill, (list, tuple)) else [distill]
        self.distill = nn.ModuleList(build(p, 'distill') for p in losses)
        check_losses(self.ssl, self.distill, extra_views)
        if isinstance(self.ssl, PlainStudent) and all(
            getattr(d, 'on', 'embed') == 'feat' for d in self.distill
        ):
            self.ssl.neck.requires_grad_(False)  # which nothing teaches
        self.extra_views = tuple(extra_views)
        if distill_crops not in ('all', 'global'):
            raise InputError(
                f"distill_crops is 'all' or 'global', got {distill_crops!r}"
            )
        self.distill_crops = distill_crops
        self.ssl_weight = ssl_weight
        StudentTap(self.ssl)  # raises where there is nothing to tap
        check_widths(self.ssl, self.teacher, self.distill)
        check_files(self.teacher, [self.ssl.neck, *self.distill])
        self.teacher.take_images_of(self.data_preprocessor)

    @property
    def teacher(self) -> FrozenTeacher:
        """The frozen teacher."""
        return self._teacher[0]

    def loss(
        self, inputs: list[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """Forward in training.

        Args:
            inputs (list[Tensor]): Views, [N, 3, H, W] each; sizes may differ.
            data_samples (list, optional): Only handed to ``ssl``.

        Returns:
            dict[str, Tensor]: ``loss_ssl…`` times lambda, ``loss_distill…``,
            and for the log ``cosine`` of student and teacher and
            ``embed_std``, the spread of the student's unit embeddings.
        """
        maps = any(getattr(d, 'on', 'embed') == 'feat' for d in self.distill)
        with StudentTap(self.ssl, maps) as tap:
            losses = ssl_losses(self.ssl.loss(inputs, data_samples), self.ssl_weight)
            for view in self.extra_views:
                self.ssl.neck(self.ssl.backbone(inputs[view]))
        passes = [
            p
            for p in tap.passes
            if self.distill_crops == 'all' or p.images.shape[2:] == inputs[0].shape[2:]
        ]
        images = images_for(tap, self.distill, passes, inputs)
        targets = self.teacher.passes(images, maps)
        student, teacher = (by_view(tap, seen, inputs) for seen in (passes, targets))
        keys = getattr(self.ssl, 'keys', None)  # of a momentum student

        for name, distill in zip(distill_names(self.distill), self.distill):
            losses[name] = distill_views(distill, student, teacher, keys)
        close = [d for d in self.distill if not getattr(d, 'any_width', False)]
        adapter = next(filter(None, (getattr(d, 'adapter', None) for d in close)), None)
        seen, wanted = matched(student, teacher)
        losses.update(monitor(seen, wanted if close else None, adapter))
        return losses

    def _apply(self, fn, *args, **kwargs):
        self.teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)
