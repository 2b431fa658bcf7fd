from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmdisco.checkpoints.checkpoint import misfits
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Refuses to resume a run from a checkpoint of another model.

    mmengine loads what fits and trains on, with random weights in the rest.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare keys and shapes with the model.

        Raises:
            InputError: If the checkpoint holds no state of a run, or tensors
                of another model.
        """
        if not runner._resume:
            return
        lacking = [
            part
            for part in ('state_dict', 'optimizer', 'meta')
            if part not in checkpoint
        ]
        if lacking or 'epoch' not in checkpoint['meta']:
            raise InputError(
                f'the checkpoint has no {(lacking or ["epoch"])[0]}: --resume '
                'takes checkpoints of a run. To begin with its weights, set '
                'load_from'
            )
        model = unwrapped(runner.model)
        own, saved = model.state_dict(), checkpoint['state_dict']
        other = misfits(saved, own)
        faults = [
            f"'{key}'" for key in {**own, **saved} if key not in own or key not in saved
        ] + ["'{}' {}".format(*text.split(' ', 1)) for text in other]
        if faults:
            raise InputError(
                f'the checkpoint is of another model: {len(faults)} tensors '
                'are missing, left over or of another shape, e.g. '
                f'{faults[0]}. Resume with the config that it is from, or '
                'start in another --work-dir'
            )
