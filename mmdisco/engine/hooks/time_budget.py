"""A training that ends after a given time."""

import time
from collections.abc import Callable
from typing import Any

from mmengine.config import Config
from mmengine.dist import broadcast_object_list
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from .schedule_at import schedule_at

FIRST = 5  # steps before the pace is known
TOLERANCE = 0.05  # of the number of steps


class TimeBudgetHook(Hook):
    """Fit the number of steps of an iteration-based loop to a time.

    The pace is measured after 5, 10, 20, … steps, and in each tenth of them. If the
    training would be over 5 % shorter or longer than its time, the number of steps is
    changed, with the schedules of the config: learning rates are those of a training
    with this number from the start. A resumed training keeps its number of steps.

    Args:
        seconds (float): Time of the training from its first step.
        set_length (Callable[[Config, int], None]): Sets the number of steps in a
            config, and what depends on it.
        save (Callable[[Config], None]): Saves a changed config, with which the
            training is resumed.
        show (Callable[[str], object]): Prints a line. Defaults to ``print``.
    """

    priority = 'LOWEST'  # after the schedulers of this step

    def __init__(
        self,
        seconds: float,
        set_length: Callable[[Config, int], None],
        save: Callable[[Config], None],
        show: Callable[[str], object] = print,
    ) -> None:
        self.seconds = seconds
        self.set_length = set_length
        self.save = save
        self.show = show

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._resumed = runner.iter > 0
        self._next = FIRST
        self._mark: tuple[int, float] | None = None  # a step and its time
        self._start = time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Measure the pace, and change the number of steps if it is needed."""
        step = runner.iter + 1
        if self._resumed:
            return
        if step == self._next // 2:  # the first steps are slower than the others
            self._mark = (step, time.monotonic())
        if step < self._next:
            return
        now, total = time.monotonic(), runner.max_iters
        self._next = min(2 * step, step + max(total // 10, FIRST))
        assert self._mark is not None
        pace = (now - self._mark[1]) / (step - self._mark[0])
        self._mark = (step, now)
        left = max(self.seconds - (now - self._start), 0) / pace
        wanted = [step + max(round(left), 1), pace]
        broadcast_object_list(wanted)
        steps = int(wanted[0])
        if abs(steps - total) <= TOLERANCE * total:
            return
        self.show(
            f'after {step} steps: {wanted[1]:.2f} s per step, so {steps} steps instead '
            f'of {total}'
        )
        change_length(runner, steps, self.set_length)
        self.save(runner.cfg)


def change_length(
    runner: Runner, steps: int, set_length: Callable[[Config, int], None]
) -> None:
    """Change the number of steps of a running training, after its schedulers' step.

    Args:
        runner (Runner): The runner of an iteration-based loop.
        steps (int): Number of steps, more than are done.
        set_length (Callable[[Config, int], None]): Sets it in the config.
    """
    set_length(runner.cfg, steps)
    runner.train_loop._max_iters = steps
    groups, states = schedule_at(runner, 0, runner.iter + 1)
    # building them resets learning rates
    runner.param_schedulers = runner.build_param_scheduler(runner.cfg.param_scheduler)
    for scheduler, state in zip(runner.param_schedulers, states):
        scheduler.load_state_dict(state)
    for group, settings in zip(runner.optim_wrapper.param_groups, groups):
        group.update(settings)
    checkpoint = runner.cfg.default_hooks.get('checkpoint') or {}
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and 'interval' in checkpoint:
            hook.interval = checkpoint['interval']
