"""Files of student and teacher that a run depends on."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmdisco.checkpoints import load_strictly
from mmdisco.checkpoints.student import StudentFile
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class StudentHook(Hook):
    """Load a pre-trained backbone strictly.

    After each epoch a frozen backbone is compared with the loaded weights, bit
    for bit: in a linear evaluation it must not change.

    Args:
        checkpoint (str, optional): A pre-training checkpoint, a backbone, or a
            published file, in any layout that ``tools/convert_checkpoint.py``
            supports. Defaults to None, an error when training begins.
    """

    def __init__(self, checkpoint: str | None = None) -> None:
        self.file = StudentFile(checkpoint)
        self._loaded: dict[str, Tensor] | None = None

    def before_train(self, runner) -> None:
        """Load the student, unless the run is resumed.

        Raises:
            InputError: If the file is missing or does not fit.
        """
        model: BaseModel = unwrapped(runner.model)
        if not self.file.resumed:
            self._load(runner, model.backbone)
        model.train()  # some backbones freeze in train()
        trained = [
            name for name, p in model.backbone.named_parameters() if p.requires_grad
        ]
        if trained:
            runner.logger.warning(
                f'StudentHook: {len(trained)} parameters of the backbone are '
                f'trained, e.g. {trained[0]}: this is not a linear evaluation'
            )
            return
        self._loaded = {
            key: value.clone() for key, value in model.backbone.state_dict().items()
        }

    def after_train_epoch(self, runner) -> None:
        """Compare a frozen backbone with the loaded weights.

        Raises:
            InputError: If a weight or a BN buffer has changed.
        """
        model: BaseModel = unwrapped(runner.model)
        now = model.backbone.state_dict()
        for key, value in (self._loaded or {}).items():
            if not torch.equal(value, now[key]):
                raise InputError(
                    f"StudentHook: the backbone is frozen, but '{key}' has "
                    'changed in this epoch: set model.type to '
                    'LinearClassifier, which keeps it in eval mode'
                )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Record the student's file in the checkpoint."""
        self.file.note(checkpoint)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare the student with that of the checkpoint.

        Raises:
            InputError: If a run is resumed with another student.
        """
        if runner._resume:
            self.file.check_resumed(checkpoint)

    def _load(self, runner, backbone: nn.Module) -> None:
        weights = self.file.read(backbone)
        try:
            load_strictly(backbone, weights, self.file.name)
        except InputError as error:
            depth = getattr(backbone, 'depth', '')
            raise InputError(
                f'{error}. The config has {type(backbone).__name__}{depth}: '
                'use the config of the student in the file, or another --student'
            ) from error
        runner.logger.info(
            f'StudentHook: loaded {len(weights)}/{len(backbone.state_dict())} '
            f"tensors of backbone from '{self.file.path}' (sha256 "
            f'{str(self.file.sha256)[:12]})'
        )


@HOOKS.register_module()
class TeacherHook(Hook):
    """Record the teacher's file, since checkpoints exclude the teacher.

    The sha256 of the file is saved; resuming with another file is an error.
    """

    @staticmethod
    def _teacher_of(runner) -> Any:
        model = unwrapped(runner.model)
        return getattr(model, 'teacher', None)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Record the teacher's file in the checkpoint."""
        teacher = self._teacher_of(runner)
        if teacher is not None:
            checkpoint['meta']['teacher'] = dict(
                checkpoint=teacher.checkpoint, sha256=teacher.sha256
            )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare the teacher with that of the checkpoint.

        Raises:
            InputError: If a run is resumed with another teacher.
        """
        teacher = self._teacher_of(runner)
        before = checkpoint.get('meta', {}).get('teacher')
        if not runner._resume or teacher is None or before is None:
            return
        if before['sha256'] != teacher.sha256:
            raise InputError(
                f"this run began with the teacher '{before['checkpoint']}' "
                f'(sha256 {str(before["sha256"])[:12]}), now it is '
                f"'{teacher.checkpoint}' ({str(teacher.sha256)[:12]}): resume "
                'with the same file, or start in another --work-dir'
            )
