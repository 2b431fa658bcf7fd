"""Schedules compared with the length of a training, and learning-rate scaling."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from mmdisco.errors import InputError
from .checks import several
from .loaders import batch_size_of


class _Wait(NamedTuple):
    """Argument of a hook that delays an effect."""

    hook: str
    argument: str  # name of the argument with the delay
    default: int  # default of the argument
    unit: str
    more: int  # required length of the run beyond the delay
    effect: str  # message if the run is shorter


WAITS = [
    _Wait('FreezeGradHook', 'iters', 0, 'iterations', 1, 'the weights stay frozen'),
    _Wait('FreezeGradHook', 'epochs', 0, 'epochs', 1, 'the weights stay frozen'),
    _Wait('SwAVQueueHook', 'start_epoch', 15, 'epochs', 1, 'the queue never starts'),
    _Wait(
        'MomentumTempHook',
        'epochs',
        30,
        'epochs',
        0,
        'the temperature never reaches its end',
    ),
    _Wait(
        'DenseCLHook',
        'start_iters',
        1000,
        'iterations',
        1,
        'the dense loss never starts',
    ),
    _Wait('SwAVHook', 'epoch_queue_starts', 15, 'epochs', 1, 'the queue never starts'),
    _Wait('EMAHook', 'begin_epoch', 0, 'epochs', 1, 'the average never starts'),
    _Wait('EMAHook', 'begin_iter', 0, 'iterations', 1, 'the average never starts'),
    _Wait(
        'PipelineSwitchHook',
        'switch_epoch',
        0,
        'epochs',
        1,
        'the pipeline never switches',
    ),
    _Wait(
        'ConcatPipelineSwitchHook',
        'switch_epoch',
        0,
        'epochs',
        1,
        'the pipeline never switches',
    ),
]


def schedulers_of(cfg: Config) -> list[ConfigDict]:
    """Return the schedulers of a config, one or several."""
    return several(cfg.get('param_scheduler'))


def losses_of(cfg: Config) -> list[ConfigDict]:
    """Return the distillation losses of a config, one or several."""
    return several(cfg.model.get('distill'))


def check_schedule(cfg: Config) -> list[str]:
    """Compare the schedule with the length of the training.

    Args:
        cfg (Config): The config.

    Returns:
        list[str]: Lines for the log.

    Raises:
        InputError: If a scheduler would start after the last epoch, or the
            learning rate would never reach its full value.
    """
    epochs = cfg.get('train_cfg', {}).get('max_epochs')
    for i, scheduler in enumerate(schedulers_of(cfg)):
        begin = scheduler.get('begin', 0)
        if epochs and scheduler.get('by_epoch', True) and begin >= epochs:
            raise InputError(
                f'param_scheduler.{i} ({scheduler.type}) begins after '
                f'{begin} epochs, but train_cfg.max_epochs is {epochs}: lower '
                f'param_scheduler.{i}.begin, and the end of the warm-up '
                'before it'
            )
    for i, scheduler in enumerate(schedulers_of(cfg)):
        _check_warm_up(i, scheduler, epochs)
    return [
        f'SimSiamHook keeps the lr of the predictor at {hook.lr}, which '
        f'--auto-scale-lr does not scale: set custom_hooks.{i}.lr'
        for i, hook in enumerate(cfg.get('custom_hooks') or ())
        if hook.type == 'SimSiamHook' and cfg.auto_scale_lr.get('enable')
    ]


def _check_warm_up(i: int, scheduler: ConfigDict, epochs: int | None) -> None:
    """Reject a warm-up that keeps the learning rate low for the whole run.

    mmengine's LinearLR and ConstantLR set the first factor at ``begin`` and the
    last one at ``end - 1``; if ``end - begin`` is 1, only the first one.
    ConstantLR divides by its factor at the end.
    """
    first, last, name = _factors(scheduler)
    if first >= last:
        return
    key = f'param_scheduler.{i}'
    by_epoch = scheduler.get('by_epoch', True)
    if first <= 0:
        raise InputError(
            f'{key}.{name} is {first}, but {scheduler.type} divides by it: '
            'set it to a small number, as 1e-4'
        )
    begin = scheduler.get('begin', 0)
    end = scheduler.get('end', epochs if by_epoch else None)
    converted = by_epoch and scheduler.get('convert_to_iter_based')
    if end is not None and end - begin == 1 and not converted:
        unit, fix = (
            (
                'epoch',
                f'set {key}.convert_to_iter_based=True, so that '
                'the rate rises in each iteration',
            )
            if by_epoch
            else ('iteration', f'set {key}.end to more')
        )
        raise InputError(
            f'{key} ({scheduler.type}) of one {unit} keeps the learning rate '
            f'at {first:g} of its value for the whole run: {fix}'
        )
    if by_epoch and epochs and end is not None and end > epochs:
        raise InputError(
            f'{key} ({scheduler.type}) is a warm-up of {end} epochs, but '
            f'train_cfg.max_epochs is {epochs}: lower {key}.end'
        )


def _factors(scheduler: ConfigDict) -> tuple[float, float, str]:
    """Return first and last factor of a warm-up, and the name of the first."""
    kind = str(scheduler.get('type'))
    if kind.startswith('Linear'):
        return (
            scheduler.get('start_factor', 1 / 3),
            scheduler.get('end_factor', 1.0),
            'start_factor',
        )
    if kind.startswith('Constant'):
        return scheduler.get('factor', 1 / 3), 1.0, 'factor'
    return 1.0, 1.0, ''


def unreached(cfg: Config, epoch_length: int) -> list[str]:
    """Find delayed effects that a training is too short for.

    Args:
        cfg (Config): The config with ``max_epochs`` or ``max_iters``.
        epoch_length (int): Iterations per epoch.

    Returns:
        list[str]: Lines for the log; empty for a smoke test.
    """
    if cfg.get('smoke'):
        return []
    epochs = cfg.train_cfg.get('max_epochs')
    iters = epochs * epoch_length if epochs else cfg.train_cfg.max_iters
    lengths = dict(epochs=epochs or iters / epoch_length, iterations=iters)
    return [
        f'{key} is {value}, but the training has {lengths[unit]:g} {unit}: {effect}'
        for key, value, needed, unit, effect in (*_of_hooks(cfg), *_of_schedulers(cfg))
        if needed > lengths[unit]
    ]


# Name and value of a setting, required length of the training, its unit, and the
# message if it is shorter.
_Need = tuple[str, Any, int, str, str]


def _of_hooks(cfg: Config) -> Iterator[_Need]:
    head = cfg.model.get('ssl', cfg.model).get('head') or {}
    no_queue = (head.get('loss') or {}).get('queue_len') == 0
    for i, hook in enumerate(cfg.get('custom_hooks') or ()):
        for wait in WAITS:
            if hook.type != wait.hook or (wait.hook == 'SwAVQueueHook' and no_queue):
                continue
            value = hook.get(wait.argument, wait.default)
            if value:
                yield (
                    f'custom_hooks.{i}.{wait.argument} of {wait.hook}',
                    value,
                    value + wait.more,
                    wait.unit,
                    wait.effect,
                )


def _of_schedulers(cfg: Config) -> Iterator[_Need]:
    for i, scheduler in enumerate(schedulers_of(cfg)):
        unit = 'epochs' if scheduler.get('by_epoch', True) else 'iterations'
        key = f'param_scheduler.{i}'
        effect = f'{scheduler.type} never changes the rate there'
        for j, milestone in enumerate(scheduler.get('milestones', ())):
            yield (f'{key}.milestones.{j}', milestone, milestone + 1, unit, effect)
        step = scheduler.get('step_size')
        if step:
            yield f'{key}.step_size', step, step + 1, unit, effect
        first, last, _ = _factors(scheduler)
        if first < last and unit == 'iterations' and 'end' in scheduler:
            yield (
                f'{key}.end',
                scheduler.end,
                scheduler.end,
                unit,
                'the warm-up never ends',
            )


def scale_lr(runner: Runner) -> None:
    """Scale the learning rate with the number of images per optimizer step.

    mmengine's scaling ignores accumulated batches, and with ``paramwise_cfg`` it
    does not update the logged ``base_lr``. Here both are scaled. This builds the
    optimizer, but does not change the config, so that a dumped config gives the
    same learning rate again.

    Args:
        runner (Runner): A runner before its ``train``.

    Raises:
        InputError: If the runner is not derived from mmengine's.
    """
    settings = runner.auto_scale_lr
    if not (settings or {}).get('enable'):
        return
    if not isinstance(runner, Runner):
        raise InputError(
            f'auto_scale_lr needs a Runner, not {type(runner).__name__}'
            ': remove runner_type, or set auto_scale_lr.enable=False and '
            'the learning rate'
        )
    runner.auto_scale_lr = dict(settings, enable=False)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    is_dict = isinstance(runner.optim_wrapper, OptimWrapperDict)
    batch = batch_size_of(runner.train_dataloader)
    for wrapper in runner.optim_wrapper.values() if is_dict else [runner.optim_wrapper]:
        accumulated = wrapper._accumulative_counts
        images = runner.world_size * batch * accumulated
        ratio = images / settings['base_batch_size']
        runner.logger.info(
            f'Scaling the original LR by {ratio:g}: {images} images per step '
            f'({runner.world_size} ranks x {batch} images x {accumulated} '
            f'accumulated), the base is {settings["base_batch_size"]:g}'
        )
        for group in wrapper.param_groups:  # including base_lr of the log
            group['lr'] *= ratio
