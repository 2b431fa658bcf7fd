from typing import List

from mmengine.config import Config

from mmdisco.errors import InputError


def _several(value) -> List[dict]:
    value = value or []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def schedulers_of(cfg: Config) -> List[dict]:
    """Schedulers of a config, of which mmengine takes one or several."""
    return _several(cfg.get('param_scheduler'))


def losses_of(cfg: Config) -> List[dict]:
    """Distillation losses of a config, one or several."""
    return _several(cfg.model.get('distill'))


def check_schedule(cfg: Config) -> List[str]:
    """Compare the schedule with the length of the training.

    Args:
        cfg (Config): The config.

    Returns:
        list[str]: What the log must say.

    Raises:
        InputError: If a scheduler would begin after the last epoch.
    """
    epochs = cfg.get('train_cfg', {}).get('max_epochs')
    for i, scheduler in enumerate(schedulers_of(cfg)):
        begin = scheduler.get('begin', 0)
        if epochs and scheduler.get('by_epoch', True) and begin >= epochs:
            raise InputError(
                f'param_scheduler.{i} ({scheduler.type}) begins after '
                f'{begin} epochs, but train_cfg.max_epochs is {epochs}: set '
                f'param_scheduler.{i}.begin, and the end of the warm-up '
                'before it, to less')
    return [
        f'SimSiamHook keeps the lr of the predictor at {hook.lr}, which '
        f'--auto-scale-lr does not scale: set custom_hooks.{i}.lr'
        for i, hook in enumerate(cfg.get('custom_hooks') or ())
        if hook.type == 'SimSiamHook' and cfg.auto_scale_lr.get('enable')]
