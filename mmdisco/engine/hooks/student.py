import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmdisco.checkpoints import load_strictly
from mmdisco.checkpoints.student import StudentFile
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class StudentHook(Hook):
    """Begins a training with the backbone of a pre-training, strictly.

    A backbone that the config freezes is compared with what was loaded after
    each epoch, bit for bit: a linear evaluation of features that move is none.

    Args:
        checkpoint (str, optional): A checkpoint of a pre-training, a backbone
            alone, or a published file, of any layout that
            ``tools/convert_checkpoint.py`` knows. None, the default, is an
            error when training begins.
    """

    def __init__(self, checkpoint: str | None = None) -> None:
        self.file = StudentFile(checkpoint)
        self._loaded: dict[str, Tensor] | None = None

    def before_train(self, runner) -> None:
        """Load the student, but into a resumed run, which has it.

        Raises:
            InputError: If there is no file, or it does not fit.
        """
        model = unwrapped(runner.model)
        if not self.file.resumed:
            self._load(runner, model.backbone)
        model.train()  # which is when some backbones freeze
        free = [
            name for name, p in model.backbone.named_parameters() if p.requires_grad
        ]
        if free:
            runner.logger.warning(
                f'StudentHook: {len(free)} parameters of the backbone are '
                f'trained, e.g. {free[0]}: this is no linear evaluation'
            )
            return
        self._loaded = {
            key: value.clone() for key, value in model.backbone.state_dict().items()
        }

    def after_train_epoch(self, runner) -> None:
        """Compare a frozen backbone with what was loaded.

        Raises:
            InputError: If a weight or a buffer of BN has changed.
        """
        now = unwrapped(runner.model).backbone.state_dict()
        for key, value in (self._loaded or {}).items():
            if not torch.equal(value, now[key]):
                raise InputError(
                    f"StudentHook: the backbone is frozen, but '{key}' has "
                    'changed in this epoch: set model.type to '
                    'LinearClassifier, which keeps it in eval mode'
                )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note the student's file."""
        self.file.note(checkpoint)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare with the student of the checkpoint.

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
                'take that of the student in the file, or another --student'
            ) from error
        runner.logger.info(
            f'StudentHook: loaded {len(weights)}/{len(backbone.state_dict())} '
            f"tensors of backbone from '{self.file.path}' (sha256 "
            f'{str(self.file.sha256)[:12]})'
        )


@HOOKS.register_module()
class TeacherHook(Hook):
    """Ties a run to its teacher, which is not in the checkpoint.

    The sha256 of the teacher's file is saved, and a resumed run that has read
    another file is refused.
    """

    @staticmethod
    def _teacher_of(runner):
        model = unwrapped(runner.model)
        return getattr(model, 'teacher', None)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note the teacher's file."""
        teacher = self._teacher_of(runner)
        if teacher is not None:
            checkpoint['meta']['teacher'] = dict(
                checkpoint=teacher.checkpoint, sha256=teacher.sha256
            )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare with the teacher of the checkpoint.

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
