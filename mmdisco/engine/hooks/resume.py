from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mmdisco.checkpoints import initial_weights, load_strictly
from mmdisco.checkpoints.checkpoint import misfits
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped
from .gradients import AccumulationHook, OptimizerLayoutHook
from .resume_config import ResumeConfigHook


@HOOKS.register_module()
class LoadFromHook(Hook):
    """Begins a training with the weights of ``load_from``, or stops it.

    mmengine loads what fits by name and shape, prints the rest, and trains on,
    with random weights if nothing fits. Here every tensor of the file is
    loaded or explained, whatever its layout
    (:func:`mmdisco.checkpoints.initial_weights`); one line of the log counts
    them. ``tools/train.py`` registers it for every config.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        """Take the file over from mmengine, unless the run is resumed."""
        self._path = None if runner._resume else runner._load_from
        if self._path is not None:
            runner._has_loaded = True

    def before_train(self, runner) -> None:
        """Load.

        Raises:
            InputError: If the file does not fit.
        """
        if self._path is None:
            return
        model = unwrapped(runner.model)
        initial = initial_weights(model, self._path)
        state_dict = {**model.state_dict(), **initial.tensors}
        load_strictly(model, state_dict, f"load_from='{self._path}'")
        # mmengine's EMAHook has a copy of the model
        runner.call_hook(
            'after_load_checkpoint', checkpoint=dict(state_dict=state_dict)
        )
        runner.logger.info(f'load_from: {initial.report}')


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


def guard_weights(runner: Runner) -> None:
    """Register the hooks of ``load_from`` and ``resume``, if they are missing.

    mmengine loads what fits and resumes what it finds, in silence: a run is
    guarded whatever hooks its config has.

    Args:
        runner (Runner): Before its training.
    """
    for kind in (
        ResumeCheckHook,
        ResumeConfigHook,
        LoadFromHook,
        OptimizerLayoutHook,
        AccumulationHook,
    ):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
