"""Linear evaluation with knowledge distillation."""

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from ..host import Part, build
from ..losses.base import DistillLoss
from ..teacher import TeacherMixin
from .linear_classifier import LinearClassifier


def percent_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Top-1 accuracy of a batch in per cent."""
    return 100 * (logits.detach().argmax(1) == labels).float().mean()


@MODELS.register_module()
class KDClassifier(TeacherMixin, LinearClassifier):
    """A linear classifier that learns from labels and a teacher's logits.

    The KD rows of `DisCo <https://arxiv.org/abs/2104.09124>`_ (Table 2) use it
    at linear evaluation: `Distilling the Knowledge in a Neural Network
    <https://arxiv.org/abs/1503.02531>`_ into a linear classifier on a frozen
    student.

    Args:
        backbone (dict or nn.Module): The student.
        neck (dict or nn.Module, optional): For example
            ``GlobalAveragePooling``. Defaults to None.
        head (dict or nn.Module, optional): The classifier, for example
            ``LinearClsHead``. Its own loss is not used. Defaults to None.
        teacher (dict or nn.Module, optional): A :class:`FrozenClassifier`.
            Defaults to None.
        distill (dict or nn.Module): A :class:`DistillLoss` with
            ``forward(student_logits, teacher_logits, labels)``. Defaults to
            ``dict(type='KDLoss')``.
        data_preprocessor (dict or nn.Module, optional): The data preprocessor
            of both networks. Defaults to None, a ``ClsDataPreprocessor``.
        init_cfg (dict or list[dict], optional): Defaults to None.

    Raises:
        TypeError: If a part is neither a config dict nor a module.
        InputError: If there is no head or teacher, they differ in their number
            of classes, the loss takes no labels, or images are mixed.
    """

    def __init__(
        self,
        backbone: Part,
        neck: Part | None = None,
        head: Part | None = None,
        teacher: Part | None = None,
        distill: Part = dict(type='KDLoss'),
        data_preprocessor: Part | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if head is None:
            raise InputError('KDClassifier has no classifier: set model.head')
        if teacher is None:
            raise InputError('KDClassifier has no teacher: set model.teacher')
        super().__init__(
            backbone, neck, head, init_cfg=init_cfg, data_preprocessor=data_preprocessor
        )
        if getattr(self.data_preprocessor, 'batch_augments', None):
            raise InputError(
                'KDClassifier needs one label per image: remove batch_augments '
                'from the data_preprocessor'
            )
        self.distill = build(distill, 'distill')
        if not (isinstance(self.distill, DistillLoss) and self.distill.needs_labels):
            raise InputError(
                f'{type(self.distill).__name__} takes no labels: '
                'set model.distill to a KDLoss'
            )
        self.hold_teacher(teacher)
        classes, targets = (
            getattr(part, 'num_classes', None) for part in (self.head, self.teacher)
        )
        if classes != targets:
            raise InputError(
                f'the student has {classes} classes, the teacher {targets}: set '
                'num_classes of model.head and model.teacher.head to the same number'
            )

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The forward function in training.

        Args:
            inputs (Tensor): Normalised images, [N, 3, H, W].
            data_samples (list[DataSample]): Samples with labels.

        Returns:
            dict[str, Tensor]: ``loss``, and for the log the batch's top-1
            ``student_acc`` and ``teacher_acc`` in per cent.
        """
        labels = torch.cat([sample.gt_label for sample in data_samples])  # [N]
        student = self.head(self.extract_feat(inputs))  # [N, C]
        teacher = self.teacher(inputs)  # [N, C]
        return dict(
            loss=self.distill(student, teacher, labels),
            student_acc=percent_right(student, labels),
            teacher_acc=percent_right(teacher, labels),
        )
