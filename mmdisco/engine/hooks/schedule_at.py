"""Schedules of a config at any step, without training."""

from typing import Any

import torch
from mmengine.optim import _ParamScheduler
from mmengine.runner import Runner

from mmdisco.errors import InputError

# state of a scheduler that changes with its steps
COUNTED = ('last_step', '_global_step', '_last_value', 'verbose')


def schedule_at(
    runner: Runner, epoch: int, iteration: int
) -> tuple[list[dict], list[dict]]:
    """Derive parameter groups and schedulers at a step.

    The schedulers of ``runner.cfg`` are rebuilt on a small stand-in optimizer and
    stepped in the order of training. The values are bit-for-bit those of a
    training with this config.

    Args:
        runner (Runner): A runner with optimizer and schedulers as built, before
            the first step.
        epoch (int): Finished epochs.
        iteration (int): Finished iterations, in epochs of equal length.

    Returns:
        tuple[list[dict], list[dict]]: Settings of the optimizer's parameter
        groups, including mmengine's own last one, and states of the schedulers.

    Raises:
        InputError: If a scheduler depends on scores.
    """
    groups = [_initial(group) for group in runner.optim_wrapper.param_groups]
    texts = [repr(sorted(group.items())) for group in groups]
    kinds = list(dict.fromkeys(texts))  # thousands may be equal
    index = [kinds.index(text) for text in texts]
    stand_in: Any = torch.optim.SGD(
        [dict(params=[torch.zeros(1)]) for _ in kinds], lr=0.0
    )
    stand_in.defaults = runner.optim_wrapper.defaults
    for group, kind in zip(stand_in.param_groups, kinds):
        params = group['params']
        group.clear()
        group.update(groups[texts.index(kind)], params=params)
    schedulers = []
    if runner.cfg.get('param_scheduler'):
        schedulers = runner._build_param_scheduler(runner.cfg.param_scheduler, stand_in)
    stand_in._global_step = 0  # torch warns if no optimizer step comes first
    _step(schedulers, epoch, iteration)
    return (
        [
            {
                key: value
                for key, value in stand_in.param_groups[i].items()
                if key != 'params'
            }
            for i in index
        ],
        [_expand(scheduler.state_dict(), index) for scheduler in schedulers],
    )


def _initial(group: dict) -> dict:
    """Return a group's settings of the config, before the first warm-up step."""
    settings = {key: value for key, value in group.items() if key != 'params'}
    for key in [key for key in settings if key.startswith('initial_')]:
        value = settings.pop(key)
        name = key.removeprefix('initial_')
        if name == 'momentum' and 'betas' in settings:
            settings['betas'] = (value, settings['betas'][1])
        settings[name] = value
    return settings


def _step(schedulers: list[_ParamScheduler], epoch: int, iteration: int) -> None:
    for scheduler in schedulers:
        if getattr(scheduler, 'need_val_args', False):
            raise InputError(
                f'{type(scheduler).__name__} depends on past scores and '
                'cannot be derived from the config: resume with the original '
                'schedule'
            )
    by_iter = [s for s in schedulers if not s.by_epoch]
    by_epoch = [s for s in schedulers if s.by_epoch]
    length, rest = divmod(iteration, epoch) if epoch else (0, iteration)
    for _ in range(epoch):
        for scheduler in by_iter * length:
            scheduler.step()
        for scheduler in by_epoch:
            scheduler.step()
    for scheduler in by_iter * rest:
        scheduler.step()


def _expand(state: dict, index: list[int]) -> dict:
    """Return a scheduler's state with one value for each group."""
    return {
        key: (
            [value[i] for i in index]
            if key in ('base_values', '_last_value')
            else value
        )
        for key, value in state.items()
    }
