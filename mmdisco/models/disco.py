from collections.abc import Sequence

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from .checks import check_losses
from .host import Part, SSLHost, build
from .log_values import distill_names, monitor, ssl_losses
from .pairs import by_view, distill_views, images_for, matched
from .tap import StudentTap
from .teacher import FrozenTeacher
from .testbeds.plain_student import PlainStudent
from .widths import check_files, check_widths


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
