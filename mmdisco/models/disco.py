from typing import Dict, List, Optional, Sequence, Union

import torch
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from .log_values import distill_names, monitor, ssl_losses
from .tap import StudentTap, embed_dim
from .teacher import FrozenTeacher

Part = Union[dict, nn.Module]


def build(part: Part, name: str) -> nn.Module:
    """Build a part from its config, or take it as it is."""
    if isinstance(part, nn.Module):
        return part
    if isinstance(part, dict):
        return MODELS.build(part)
    raise TypeError(f'{name} must be a config dict or a built module, '
                    f'got {type(part).__name__}')


@MODELS.register_module()
class DisCo(BaseModel):
    """Distilled contrastive learning of a lightweight student.

    Implementation of `DisCo: Remedy Self-supervised Learning on Lightweight
    Models with Distilled Contrastive Learning
    <https://arxiv.org/abs/2104.09124>`_. While ``ssl`` learns its own task,
    its final embedding of each view is pulled towards that of a frozen
    teacher: :math:`L = L_{dis} + \\lambda L_{co}` (Eq. 2).

    Args:
        ssl (dict or nn.Module): A self-supervised algorithm, unmodified. It
            is the student: backbone, neck, head, and its momentum encoder.
        teacher (dict or nn.Module): A :class:`FrozenTeacher`.
        distill (dict, nn.Module or list): Distillation loss of a view's
            student and teacher embeddings, ``loss(student, teacher)``; or
            several, which are summed.
        extra_views (Sequence[int]): Views that ``ssl`` does not send through
            its student and that are distilled, too. MoCo sees view 0 only,
            so ``(1, )`` adds the other. Defaults to ().
        ssl_weight (float): :math:`\\lambda`. Defaults to 1.
        data_preprocessor (dict or nn.Module, optional): Replaces that of
            ``ssl``. Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.

    Raises:
        TypeError: If a part is neither a config dict nor a module.
        ValueError: If ``ssl`` has no backbone or neck, or its embeddings and
            the teacher's differ in width.
    """

    def __init__(self,
                 ssl: Part,
                 teacher: Part,
                 distill: Union[Part, Sequence[Part]],
                 extra_views: Sequence[int] = (),
                 ssl_weight: float = 1.,
                 data_preprocessor: Optional[Part] = None,
                 init_cfg: Optional[Union[dict, List[dict]]] = None) -> None:
        ssl = build(ssl, 'ssl')
        if data_preprocessor is not None:
            if isinstance(data_preprocessor, dict):
                data_preprocessor.setdefault('type', 'SelfSupDataPreprocessor')
            ssl.data_preprocessor = build(data_preprocessor,
                                          'data_preprocessor')
        super().__init__(ssl.data_preprocessor, init_cfg)
        self.ssl = ssl
        # In a tuple, the frozen teacher is no submodule: not in state_dict,
        # optimizer, DDP or init_weights. _apply below moves it along.
        self._teacher = (build(teacher, 'teacher'), )
        losses = distill if isinstance(distill, (list, tuple)) else [distill]
        self.distill = nn.ModuleList(build(p, 'distill') for p in losses)
        self.extra_views = tuple(extra_views)
        self.ssl_weight = ssl_weight
        StudentTap(ssl)  # raises where there is nothing to tap
        self._check_widths()

    @property
    def teacher(self) -> FrozenTeacher:
        """The frozen teacher."""
        return self._teacher[0]

    @property
    def backbone(self) -> nn.Module:
        """Backbone of the student: what is deployed."""
        return self.ssl.backbone

    @property
    def neck(self) -> nn.Module:
        """Projection head of the student."""
        return self.ssl.neck

    @property
    def head(self) -> nn.Module:
        """Head of the self-supervised algorithm."""
        return self.ssl.head

    def extract_feat(self, inputs: Tensor):
        """Features of the student's backbone, as ``ssl`` gives them."""
        return self.ssl.extract_feat(inputs)

    def forward(self,
                inputs: Union[Tensor, List[Tensor]],
                data_samples: Optional[list] = None,
                mode: str = 'tensor'):
        """Losses (``mode='loss'``) or backbone features (``'tensor'``)."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            return self.extract_feat(inputs)
        raise RuntimeError(f'Invalid mode "{mode}".')

    def loss(self,
             inputs: List[Tensor],
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Forward in training.

        Args:
            inputs (list[Tensor]): Views, [N, 3, H, W] each; sizes may differ.
            data_samples (list, optional): Only handed to ``ssl``.

        Returns:
            dict[str, Tensor]: ``loss_ssl…`` times lambda, ``loss_distill…``,
            and for the log ``cosine`` of student and teacher and
            ``embed_std``, the spread of the student's unit embeddings.
        """
        with StudentTap(self.ssl) as tap:
            losses = ssl_losses(
                self.ssl.loss(inputs, data_samples), self.ssl_weight)
            for view in self.extra_views:
                self.ssl.neck(self.ssl.backbone(inputs[view]))
        targets = self.teacher(tap.images)  # [M, D] for each student pass

        student, teacher = {}, {}  # view -> parts of [N, D]
        for seen, target in zip(tap.passes, targets):
            for view, rows in tap.rows_of(seen.images, inputs):
                student.setdefault(view, []).append(seen.embeds[rows])
                teacher.setdefault(view, []).append(target[rows])
        pairs = [(torch.cat(student[v]), torch.cat(teacher[v]))
                 for v in student]  # [N, D] twice, for each view

        for name, distill in zip(distill_names(self.distill), self.distill):
            losses[name] = sum(distill(s, t) for s, t in pairs)
        losses.update(monitor(*map(torch.cat, zip(*pairs))))
        return losses

    def _apply(self, fn, *args, **kwargs):
        self.teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def _check_widths(self) -> None:
        """Compare the widths of both embeddings, where the necks tell."""
        teacher, student = map(embed_dim, (self.teacher.neck, self.ssl.neck))
        if teacher and student and teacher != student:
            raise InputError(
                f'teacher gives {teacher}-d embeddings, student {student}-d: '
                f'set model.ssl.neck.out_channels to {teacher}')
