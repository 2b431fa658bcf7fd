"""DisCo: a self-supervised student and the distillation from a frozen teacher."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from .host import Part, SSLHost, build
from .losses.base import DistillLoss, EmbedSpec
from .mixup import mix_views
from .selfsup.students import MomentumStudent, PlainStudent
from .standardizer import FeatureStandardizer
from .stored_teacher import StoredTeacher
from .tap import StudentTap, Views, width_of
from .teacher import TeacherMixin


@MODELS.register_module()
class DisCo(TeacherMixin, SSLHost):
    r"""Distilled contrastive learning of a lightweight student.

    Implementation of `DisCo: Remedy Self-supervised Learning on Lightweight
    Models with Distilled Contrastive Learning
    <https://arxiv.org/abs/2104.09124>`_. While ``ssl`` learns its own task,
    its final embedding of each view is pulled towards that of a frozen
    teacher: :math:`L = L_{dis} + \lambda L_{co}` (Eq. 2).

    Args:
        ssl (dict or nn.Module): A self-supervised algorithm, unmodified. It
            is the student: backbone, neck, head, and its momentum encoder.
        teacher (dict or nn.Module): A :class:`FrozenTeacher`, which adapts to the
            input normalisation of the student's data preprocessor, or a
            :class:`StoredTeacher`.
        distill (dict, nn.Module or list): A :class:`DistillLoss` of the
            student's and the teacher's outputs, or several, which are summed.
        extra_views (Sequence[int]): Views that ``ssl`` does not send through
            its student but that are distilled. MoCo's student sees view 0
            alone, so ``(1, )`` adds the other. Defaults to ().
        distill_crops (str): 'all' distils every view that the student sees,
            'global' those as large as the first: each small crop costs a pass
            of the teacher. Defaults to 'all'.
        ssl_weight (float): :math:`\lambda`. Defaults to 1.
        standardize (dict or nn.Module, optional): A :class:`FeatureStandardizer`
            of the teacher's embeddings. Defaults to None: as they are.
        mixup (float): If above 0, images are mixed before both networks see
            them, by a share from Beta(mixup, mixup). For students without a task
            of their own. Defaults to 0.
        data_preprocessor (dict or nn.Module, optional): Replaces that of
            ``ssl``. Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.

    Raises:
        TypeError: If a part is neither a config dict nor a module.
        InputError: If ``ssl`` has no backbone or neck or embeds no views, a
            loss, ``standardize`` or ``mixup`` does not suit student and teacher,
            or ``distill_crops`` is unknown.
    """

    # never read from or written to the algorithm, even if it has these names
    extra_views: tuple[int, ...] = ()
    ssl_weight: float = 1.0
    distill_crops: str = 'all'
    mixup: float = 0.0
    distill: Sequence[DistillLoss]  # in an nn.ModuleList
    standardize: FeatureStandardizer | None

    def __init__(
        self,
        ssl: Part,
        teacher: Part,
        distill: Part | Sequence[Part],
        extra_views: Sequence[int] = (),
        distill_crops: str = 'all',
        ssl_weight: float = 1.0,
        standardize: Part | None = None,
        mixup: float = 0.0,
        data_preprocessor: Part | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(ssl, data_preprocessor, init_cfg)
        self.hold_teacher(teacher)
        losses = distill if isinstance(distill, Sequence) else [distill]
        self.distill = nn.ModuleList(  # type: ignore[assignment]
            build(loss, 'distill') for loss in losses
        )
        if not losses:
            raise InputError('DisCo has no distillation loss: set model.distill')
        if distill_crops not in ('all', 'global'):
            raise InputError(
                f"distill_crops is 'all' or 'global', got {distill_crops!r}"
            )
        self.extra_views = tuple(extra_views)
        self.distill_crops = distill_crops
        self.ssl_weight = ssl_weight
        self.mixup = mixup
        self.standardize = self._standardizer(standardize)
        self._check()
        if isinstance(self.ssl, PlainStudent) and all(
            loss.on == 'feat' for loss in self.distill
        ):
            self.ssl.neck.requires_grad_(False)  # no loss reaches the neck
        self.teacher.match_normalisation(self.data_preprocessor)

    def _standardizer(self, part: Part | None) -> FeatureStandardizer | None:
        """Build the standardiser, as wide as the teacher's embeddings."""
        if part is None:
            return None
        width = width_of(self.teacher)
        if isinstance(part, dict):
            part = dict(part)
            part.setdefault('embed_dim', width)
        built = build(part, 'standardize')
        if not isinstance(built, FeatureStandardizer):
            raise InputError(
                f'standardize is a {type(built).__name__}: set model.standardize.type '
                'to FeatureStandardizer'
            )
        if width not in (None, built.embed_dim):
            raise InputError(
                f'model.standardize.embed_dim is {built.embed_dim}, the teacher gives '
                f'{width}-d embeddings: leave it out'
            )
        readers = [*self.distill, self.ssl.neck]
        for reader in readers:
            if getattr(reader, 'sha256', None):
                raise InputError(
                    f"{type(reader).__name__} uses layers of the teacher's head, which "
                    'take its embeddings as they are: leave out model.standardize'
                )
        if all(loss.on == 'feat' for loss in self.distill):
            raise InputError(
                'model.standardize changes embeddings, and all losses of model.distill '
                'compare feature maps: leave it out'
            )
        return built

    def _check(self) -> None:
        """Check that the parts suit each other, before training."""
        ssl, teacher = self.ssl, self.teacher
        StudentTap(ssl)  # raises if there is nothing to tap
        student = EmbedSpec(
            type(ssl).__name__,
            width_of(ssl),
            # other algorithms show their views in the first step
            views=(*ssl.views, *self.extra_views)
            if isinstance(ssl, PlainStudent)
            else None,
            key_views=ssl.views if isinstance(ssl, MomentumStudent) else None,
        )
        target = EmbedSpec(
            type(teacher).__name__,
            width_of(teacher),
            checkpoint=teacher.checkpoint,
            sha256=teacher.sha256,
        )
        target.check_file(type(ssl.neck).__name__, getattr(ssl.neck, 'sha256', None))
        for i, loss in enumerate(self.distill):
            if not isinstance(loss, DistillLoss):
                raise InputError(
                    f'{type(loss).__name__} is not a DistillLoss: derive it from '
                    "mmdisco.models.DistillLoss (CONTRIBUTING.md, 'Add a loss')"
                )
            place = f'model.distill.{i}' if len(self.distill) > 1 else 'model.distill'
            loss.check(student, target, place)
        if self.mixup < 0:
            raise InputError(f'model.mixup is {self.mixup}: set 0 or more')
        if isinstance(teacher, StoredTeacher):
            teacher.check(any(d.on == 'feat' for d in self.distill), self.mixup)
        if self.mixup and not isinstance(ssl, PlainStudent):
            raise InputError(
                f'model.mixup={self.mixup} mixes images, of which {type(ssl).__name__} '
                'learns a task of its own: set it to 0, or use a PlainStudent'
            )

    def loss(
        self, inputs: list[Tensor], data_samples: list | Tensor | None = None
    ) -> dict[str, Tensor]:
        """The forward function in training, Figure 2 of the paper.

        In its notation, s is the student, m the momentum encoder of ``ssl``, t
        the teacher, and E are final embeddings.

        Args:
            inputs (list[Tensor]): Views v, v', …, [N, 3, H, W] each; sizes may
                differ.
            data_samples (list or Tensor, optional): Passed on to ``ssl``; with a
                :class:`StoredTeacher` its embeddings of the views, [N, V, D].

        Returns:
            dict[str, Tensor]: ``loss_ssl…`` times lambda, ``loss_distill…``,
            and for the log ``cosine`` of student and teacher and
            ``embed_std``, the spread of the student's unit embeddings.
        """
        maps = any(distill.on == 'feat' for distill in self.distill)
        size = None if self.distill_crops == 'all' else inputs[0].shape[2:]

        if self.mixup:
            inputs = mix_views(inputs, self.mixup)  # [N, 3, H, W] each

        # L_co of E_s and E'_m, in ssl, while the tap records what s computes
        with StudentTap(self.ssl, maps) as tap:
            losses = ssl_losses(self.ssl.loss(inputs, data_samples), self.ssl_weight)
            for view in self.extra_views:
                self.ssl.neck(self.ssl.backbone(inputs[view]))  # [N, D]

        # E_s, E'_s, …: embeds [N, D] and maps [N, C, h, w] of each view
        student = tap.views(inputs, size)

        # E_t, E'_t, …: embeds [N, E] and maps of the same views, without gradient
        views = {v for d in self.distill for v in d.teacher_views(student)}
        teacher = self.teacher.views(tap.batches_of(views), maps, data_samples)
        if self.standardize is not None:
            teacher = self.standardize.views(teacher)

        # L_dis, Eq. 1: a scalar for each loss, summed over the views
        keys = self.ssl.keys if isinstance(self.ssl, MomentumStudent) else None
        for name, distill in zip(distill_names(self.distill), self.distill):
            losses[name] = distill.total(student, teacher, keys)

        losses.update(monitor(student, teacher, self.distill))
        return losses


# Every key with 'loss' in it is summed by mmengine's parse_losses, and a
# component called plainly 'loss' would overwrite the logged total.


def ssl_losses(losses: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Weight the losses of an algorithm and rename them.

    Args:
        losses (dict[str, Tensor]): Output of the algorithm; the sum of a list
            is the loss.
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
    student: Views, teacher: Views, losses: Iterable[DistillLoss]
) -> dict[str, Tensor]:
    """Similarity of student and teacher, and spread of the student, for the log.

    Args:
        student (dict[int, ViewOutputs]): The student's outputs by view.
        teacher (dict[int, ViewOutputs]): The teacher's outputs by view. If the
            student has not embedded one of these views (BINGO), its first
            view is compared.
        losses (Iterable[DistillLoss]): Those without ``any_width`` pull the
            embeddings together. The first adapter among them is applied.

    Returns:
        dict[str, Tensor]: ``cosine``, the mean cosine of student and teacher,
        if a loss pulls them together and the widths are equal; and
        ``embed_std``, the standard deviation of the student's unit embeddings,
        mean over D.
    """
    first = next(iter(student.values()))
    matched = [student.get(view, first) for view in teacher]
    embeds = torch.cat([outputs.embeds for outputs in matched]).float()  # [M, D]
    targets = torch.cat([o.embeds for o in teacher.values()]).float()  # [M, E]
    pulling = [loss for loss in losses if not loss.any_width]
    adapters = [loss.adapter for loss in pulling if loss.adapter is not None]
    values = {}
    if pulling:
        with torch.autocast(embeds.device.type, enabled=False):
            adapted = adapters[0](embeds) if adapters else embeds  # [M, E]
            if adapted.shape == targets.shape:
                values['cosine'] = F.cosine_similarity(adapted, targets).mean()
    unit = F.normalize(embeds, dim=1)  # [M, D]
    return dict(**values, embed_std=unit.std(0).mean())
