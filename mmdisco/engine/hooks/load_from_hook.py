from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmdisco.checkpoints import initial_weights, load_strictly
from mmdisco.utils import unwrapped


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
