from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


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
