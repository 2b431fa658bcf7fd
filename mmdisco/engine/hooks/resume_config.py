"""Resume with the settings of the current config."""

from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmpretrain.models.utils import CosineEMA
from mmpretrain.registry import HOOKS

from mmdisco.errors import InputError
from mmdisco.launch.loaders import batch_size_of
from mmdisco.utils import unwrapped
from .schedule_at import COUNTED, schedule_at

_KEY = 'settings'
# settings of optimizers that do not change results
_IMPLEMENTATION = ('params', 'fused', 'foreach', 'capturable', 'differentiable')


@HOOKS.register_module()
class ResumeConfigHook(Hook):
    """Apply the current config to a resumed run.

    mmengine takes learning rate, weight decay and schedules from the checkpoint,
    whatever the config says, and continues at its iteration even if the number
    of iterations per epoch has changed. This hook takes only the step from the
    checkpoint: finished epochs, or iterations in an iteration-based loop. If the
    config differs from that of the checkpoint, the optimizer's settings and the
    schedules are derived from the config at that step, and one log line reports
    the changes; otherwise the checkpoint is unchanged. Another optimizer or loop
    is an error. ``tools/train.py`` registers this hook for every config.
    """

    # after ResumeCheckHook
    priority = 'HIGH'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Save the settings that a resumed run is compared with."""
        checkpoint['meta'][_KEY] = _settings(runner)
        # OneCycleLR's state has a function, which safe loading rejects
        for state in checkpoint.get('param_schedulers', ()):
            for key in [key for key in state if callable(state[key])]:
                del state[key]

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Adapt the checkpoint to the config before mmengine resumes from it.

        Raises:
            InputError: If optimizer, loop or parameter groups differ, or the
                config has fewer epochs than the checkpoint.
        """
        if not runner._resume:
            return
        meta, now = checkpoint['meta'], _settings(runner)
        before = meta.get(_KEY) or {}
        for key in ('optimizer', 'loop'):
            if before.get(key, now[key]) != now[key]:
                raise InputError(
                    f'the checkpoint is of a run with {before[key]}, the '
                    f'config has {now[key]}: resume with {before[key]}, or '
                    'start from its weights: set load_from, without --resume'
                )
        _check_length(meta, now)
        changes = [
            f'{key} {before[key]} -> {now[key]}'
            for key in now
            if before.get(key, now[key]) != now[key]
        ]
        changes += _set_seed(runner, meta)
        differences = _align_step(runner, checkpoint, before)
        differences += _differences(runner, checkpoint)
        if differences:
            groups, states = schedule_at(runner, meta['epoch'], meta['iter'])
            _set_schedule(checkpoint, groups, states)
        if changes or differences:
            runner.logger.warning(
                f'resumed at epoch {meta["epoch"]}, iteration {meta["iter"]}, '
                f'with {"; ".join([*changes, *differences])}'
                + (': schedules are derived from the config' if differences else '')
            )
        _locate_best(runner, checkpoint)


def _settings(runner) -> dict[str, Any]:
    loop, loader = runner.train_loop, runner.train_dataloader
    length = (
        dict(max_iters=loop.max_iters)
        if isinstance(loop, IterBasedTrainLoop)
        else dict(max_epochs=loop.max_epochs)
    )
    return dict(
        optimizer=type(runner.optim_wrapper.optimizer).__name__,
        loop=type(loop).__name__,
        **length,
        epoch_length=len(loader),
        batch_size=batch_size_of(loader),
        ranks=runner.world_size,
        accumulative_counts=runner.optim_wrapper._accumulative_counts,
    )


def _check_length(meta: dict, now: dict) -> None:
    unit = 'iter' if 'max_iters' in now else 'epoch'
    if meta[unit] > now[f'max_{unit}s']:
        raise InputError(
            f'the checkpoint has {unit} {meta[unit]}, train_cfg.max_{unit}s '
            f'is {now[f"max_{unit}s"]}: set it to more, or resume from an '
            'earlier checkpoint'
        )


def _set_seed(runner, meta: dict) -> list[str]:
    """Use the config's seed, if any.

    mmengine would use the checkpoint's for all but the order of the images.
    """
    seed, before = runner._randomness_cfg.get('seed'), meta.get('seed')
    if seed is None or seed == before:
        return []
    meta['seed'] = seed
    return [f'seed {before} -> {seed}']


def _align_step(runner, checkpoint: dict, before: dict) -> list[str]:
    """Set the iteration to the start of an epoch of the current length."""
    meta, length = checkpoint['meta'], len(runner.train_dataloader)
    epoch, done = meta['epoch'], meta['iter']
    if not isinstance(runner.train_loop, EpochBasedTrainLoop) or (
        done == epoch * length
    ):
        return []
    even = epoch and done % epoch == 0
    old_length = before.get('epoch_length') or (done // epoch if even else length)
    rest = done - epoch * old_length
    if rest > old_length:
        raise InputError(
            f'the checkpoint has {done} iterations and {epoch} epochs: it is '
            'of an iteration-based loop, but train_cfg is epoch-based'
        )
    text = f'{old_length} -> {length} iterations per epoch'
    if rest == old_length:
        epoch += 1
        text = f'epoch {epoch} done'
    elif rest:
        text = (
            f'epoch {epoch + 1} restarted, after {rest} of {old_length} '
            'iterations in the checkpoint'
        )
    meta.update(epoch=epoch, iter=epoch * length)
    for name, module in unwrapped(runner.model).named_modules():
        if isinstance(module, CosineEMA):  # it has its own counter
            checkpoint['state_dict'][f'{name}.steps'] += meta['iter'] - done
    return [text]


def _differences(runner, checkpoint: dict) -> list[str]:
    """List settings of optimizer and schedules that differ, old and new."""
    saved = checkpoint['optimizer']['param_groups']
    groups = runner.optim_wrapper.optimizer.param_groups
    if [len(group['params']) for group in saved] != [
        len(group['params']) for group in groups
    ]:
        raise InputError(
            f'the checkpoint has {len(saved)} parameter groups, the '
            f'config {len(groups)}, or of other sizes: resume with the '
            'original paramwise_cfg'
        )
    changed: dict[str, str] = {}
    for old, new in zip(saved, groups):
        for key in new.keys() & old.keys():
            if (
                key in _IMPLEMENTATION
                or key.startswith('initial_')
                or (key == 'betas' and 'initial_momentum' in new)
            ):
                continue
            pair = [group.get(f'initial_{key}', group[key]) for group in (old, new)]
            if pair[0] != pair[1]:
                changed.setdefault(key, f'{key} {pair[0]} -> {pair[1]}')
    return [changed[key] for key in sorted(changed)] + _other_schedules(
        checkpoint.get('param_schedulers'), runner.param_schedulers or []
    )


def _other_schedules(saved: list | None, schedulers: list) -> list[str]:
    states = [
        {
            key: value
            for key, value in scheduler.state_dict().items()
            if not callable(value)
        }
        for scheduler in schedulers
    ]
    if [state.keys() for state in saved or []] != [state.keys() for state in states]:
        return [
            f'{0 if saved is None else len(saved)} -> {len(states)} '
            'schedules, or of another type'
        ]
    return [
        f'{type(scheduler).__name__}.{key} {old[key]} -> {new[key]}'
        for scheduler, old, new in zip(schedulers, saved or [], states)
        for key in new
        if key not in (*COUNTED, 'base_values') and old[key] != new[key]
    ]


def _set_schedule(checkpoint: dict, groups: list[dict], states: list[dict]) -> None:
    optimizer = checkpoint['optimizer']
    saved = [
        *optimizer['param_groups'],
        *filter(None, [optimizer.get('base_param_settings')]),
    ]
    for group, settings in zip(saved, groups):
        for key in [k for k in group if k.startswith('initial_')]:
            del group[key]
        group.update(settings)
    checkpoint['param_schedulers'] = states


def _locate_best(runner, checkpoint: dict) -> None:
    """Drop the path of a best checkpoint in another folder.

    Otherwise a run resumed from a copy, or into another work dir, would delete
    that file as soon as it has a better one.
    """
    info = checkpoint['message_hub']['runtime_info']
    folders = {
        Path(hook.out_dir, Path(runner.work_dir).name)
        if hook.out_dir
        else Path(runner.work_dir)
        for hook in runner.hooks
        if isinstance(hook, CheckpointHook)
    }
    here = {folder.resolve() for folder in folders}
    if Path(runner._load_from or runner.work_dir, '..').resolve() not in here:
        info.pop('keep_ckpt_ids', None)
        checkpoint['message_hub']['resumed_keys'].pop('keep_ckpt_ids', None)
    for key in [key for key in info if key.startswith('best_ckpt')]:
        path = Path(info[key] or '')
        if path.parent.resolve() not in here:
            moved = [
                folder / path.name
                for folder in folders
                if (folder / path.name).is_file()
            ]
            info[key] = str(moved[0]) if moved else None
