"""Progress on the terminal, and a stop that keeps the work."""

import signal
import sys
import time
from collections import deque
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)

from mmdisco.launch.loaders import batch_size_of


def duration(seconds: float) -> str:
    """Describe a time in hours, minutes and seconds, e.g. '1:02:03'."""
    return str(timedelta(seconds=round(seconds)))


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show steps, loss, images per second and remaining time.

    On a terminal as a bar, elsewhere as a line now and then. The first
    :attr:`warm_up` steps, with compilers and caches, do not count for the
    remaining time; after them a line states the estimate.

    Args:
        seconds_per_line (float): Pause between two lines where there is no
            terminal. Defaults to 30.
        window (int): Steps of the mean that the remaining time follows.
            Defaults to 100.
    """

    priority = 'VERY_LOW'  # after the hooks whose values it shows
    warm_up = 20

    def __init__(self, seconds_per_line: float = 30.0, window: int = 100) -> None:
        self.seconds_per_line = seconds_per_line
        self.console = Console(file=sys.stdout)
        self._times: deque[float] = deque(maxlen=window + 1)
        self._bar: Progress | None = None

    def before_train(self, runner: Runner) -> None:
        """Start the bar."""
        self._first = runner.iter
        self._printed = time.monotonic()
        if not is_main_process() or not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn('training'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[values]}'),
            console=self.console,
        )
        self._task = self._bar.add_task(
            '', total=runner.max_iters, completed=runner.iter, values=''
        )
        self._bar.start()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Show the values of a step."""
        now = time.monotonic()
        self._times.append(now)
        if not is_main_process():
            return
        step, total = runner.iter + 1, runner.max_iters
        done = step - self._first
        if done == self.warm_up and step < total:
            left = duration(self._per_step() * (total - step))
            self.console.print(
                f'after {done} steps: {left} left, {self._per_step():.2f} s per step',
                highlight=False,
            )
        if self._bar is not None:
            self._bar.update(self._task, completed=step, values=self._values(runner))
        elif step == total or now - self._printed >= self.seconds_per_line:
            self._printed = now
            self.console.print(
                f'step {step}/{total}  {self._values(runner)}', highlight=False
            )

    def after_train(self, runner: Runner) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _per_step(self) -> float:
        """Seconds of a step, mean over the window."""
        times = [*self._times]
        if len(times) < 2:
            return 0.0
        if len(times) <= self.warm_up:  # without the first steps
            times = times[len(times) // 2 - 1 :]
        return (times[-1] - times[0]) / (len(times) - 1)

    def _values(self, runner: Runner) -> str:
        scalars = runner.message_hub.log_scalars
        values = []
        if 'train/loss' in scalars:
            values.append(f'loss {scalars["train/loss"].mean(10):.4f}')
        per_step = self._per_step()
        if per_step:
            images = batch_size_of(runner.train_dataloader) * runner.world_size
            left = per_step * (runner.max_iters - runner.iter - 1)
            values += [f'{images / per_step:.1f} images/s', f'{duration(left)} left']
        return '  '.join(values)


@HOOKS.register_module()
class InterruptHook(Hook):
    """Finish the step, write a checkpoint and stop when interrupted.

    On SIGINT (Ctrl-C) or SIGTERM of any rank all ranks stop after the same step.
    A second signal stops at once. For iteration-based loops, whose checkpoints
    continue exactly.

    Args:
        every (int): Steps between two questions to the other ranks whether they
            were interrupted. Defaults to 5.

    Attributes:
        interrupted (bool): Whether the training was stopped.
    """

    priority = 'LOWEST'  # after the checkpoint of this step
    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, every: int = 5) -> None:
        self.every = every
        self.interrupted = False
        self._asked = False
        self._before: dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Handle the signals from now on."""
        self._saved = -1
        for number in self.signals:
            self._before[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print('\ninterrupted: finishing the step, press again to stop at once')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop if a rank was interrupted."""
        step = runner.iter + 1
        asked = self._asked
        if runner.world_size > 1:
            if step % self.every:
                return
            flag = torch.tensor(
                int(asked), device=next(runner.model.parameters()).device
            )
            all_reduce(flag, 'max')
            asked = bool(flag)
        if not asked or step >= runner.max_iters:
            return
        self.interrupted = True
        runner.train_loop.stop_training = True
        runner.save_checkpoint(
            runner.work_dir,
            f'iter_{step}.pth',
            by_epoch=False,
            backend_args=dict(backend='atomic'),
        )

    def after_train(self, runner: Runner) -> None:
        """Restore the handlers of the signals."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
