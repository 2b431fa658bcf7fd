"""Strict loading of ``load_from`` and of resumed checkpoints."""

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
    """Load the weights of ``load_from`` strictly.

    mmengine loads tensors that fit by name and shape, prints the rest and
    continues, with random weights if nothing fits. This hook loads or explains
    every tensor of the file, in any layout
    (:func:`mmdisco.checkpoints.initial_weights`), and logs their numbers.
    ``tools/train.py`` registers it for every config.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        """Keep mmengine from loading the file, unless the run is resumed."""
        self._path = None if runner._resume else runner._load_from
        if self._path is not None:
            runner._has_loaded = True

    def before_train(self, runner) -> None:
        """Load the weights.

        Raises:
            InputError: If the file does not fit.
        """
        if self._path is None:
            return
        model = unwrapped(runner.model)
        initial = initial_weights(model, self._path)
        state_dict = {**model.state_dict(), **initial.tensors}
        load_strictly(model, state_dict, f"load_from='{self._path}'")
        # mmengine's EMAHook has its own copy of the model
        runner.call_hook(
            'after_load_checkpoint', checkpoint=dict(state_dict=state_dict)
        )
        runner.logger.info(f'load_from: {initial.report}')


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Reject resuming from a checkpoint of another model.

    mmengine loads tensors that fit and continues with random weights elsewhere.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare keys and shapes with the model.

        Raises:
            InputError: If the checkpoint has no training state, or is of another
                model.
        """
        if not runner._resume:
            return
        absent = [
            part
            for part in ('state_dict', 'optimizer', 'meta')
            if part not in checkpoint
        ]
        if absent or 'epoch' not in checkpoint['meta']:
            raise InputError(
                f'the checkpoint has no {(absent or ["epoch"])[0]}: --resume '
                'needs a checkpoint of a run. To start from its weights, set '
                'load_from'
            )
        model_state = unwrapped(runner.model).state_dict()
        saved = checkpoint['state_dict']
        faults = [
            f"'{key}'"
            for key in {**model_state, **saved}
            if key not in model_state or key not in saved
        ]
        faults += [
            "'{}' {}".format(*text.split(' ', 1))
            for text in misfits(saved, model_state)
        ]
        if faults:
            raise InputError(
                f'the checkpoint is of another model: {len(faults)} tensors '
                'are missing, left over or of another shape, e.g. '
                f'{faults[0]}. Resume with its own config, or '
                'start in another --work-dir'
            )


def guard_weights(runner: Runner) -> None:
    """Register the hooks of ``load_from`` and ``resume`` if missing.

    mmengine loads and resumes silently whatever fits; these hooks guard every
    run, also if its config does not name them.

    Args:
        runner (Runner): A runner before its training.
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
