"""Progress on the terminal, and a stop that keeps the work."""

import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import CheckpointHook, Hook
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

REFRESH = 0.5  # seconds between two updates of the bar


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
        self._losses: deque[torch.Tensor] = deque(maxlen=10)
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
        loss = (outputs or {}).get('loss')
        if torch.is_tensor(loss):
            self._losses.append(loss.detach())  # else it would keep its graph
        pause = REFRESH if self._bar is not None else self.seconds_per_line
        if step < total and now - self._printed < pause:
            return  # reading a loss waits for the device
        self._printed = now
        values = self._values(runner)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, total=total, values=values)
        else:
            self.console.print(f'step {step}/{total}  {values}', highlight=False)

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
        values = []
        losses = [float(loss) for loss in self._losses]
        if losses:
            values.append(f'loss {sum(losses) / len(losses):.4f}')
        per_step = self._per_step()
        if per_step:
            images = batch_size_of(runner.train_dataloader) * runner.world_size
            left = per_step * (runner.max_iters - runner.iter - 1)
            values += [f'{images / per_step:.1f} images/s', f'{duration(left)} left']
        return '  '.join(values)


def _protected(init: Callable | None, worker: int) -> None:
    """Ignore Ctrl-C in a worker of the loader, which a terminal sends to all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if init is not None:
        init(worker)


@HOOKS.register_module()
class InterruptHook(Hook):
    """Finish the step, write a checkpoint and stop when interrupted.

    On SIGINT (Ctrl-C) or SIGTERM of any rank all ranks stop after the same step.
    A second signal stops at once. In another thread than the main one, signals are
    left to their handlers. For iteration-based loops, whose checkpoints
    continue exactly. Call :meth:`end` after the training.

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

    def before_run(self, runner: Runner) -> None:
        """Protect the workers."""
        loader = runner.train_dataloader
        loader.worker_init_fn = partial(_protected, loader.worker_init_fn)

    def before_train(self, runner: Runner) -> None:
        """Handle the signals from now on, if Python lets this thread do so."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals are the main thread's
        for number in self.signals:
            self._before[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        if number == signal.SIGTERM:
            # a scheduler ends the loader's workers, too, at which torch's handler
            # would raise in the middle of a step
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
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
            device = next(runner.model.parameters()).device
            flag = torch.tensor(int(asked), device=device)
            all_reduce(flag, 'max')
            asked = bool(flag)
        if asked and step < runner.max_iters:
            self._stop(runner, step)

    def _stop(self, runner: Runner, step: int) -> None:
        self.interrupted = True
        runner.train_loop.stop_training = True
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                hook._save_checkpoint_with_step(
                    runner, step, dict(epoch=runner.epoch, iter=step)
                )

    def end(self, runner: Runner, error: BaseException | None = None) -> bool:
        """Restore the handlers of the signals, and keep the work of an error.

        Args:
            runner (Runner): The runner.
            error (BaseException, optional): What ended the training. Defaults to
                None.

        Returns:
            bool: Whether the error comes from the interruption, e.g. that a worker
            of the loader has ended; a checkpoint is written then.
        """
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        workers_ended = isinstance(error, RuntimeError) and self._asked
        if workers_ended and runner.world_size == 1 and not self.interrupted:
            self._stop(runner, runner.iter)  # raised between two steps
        return workers_ended and self.interrupted
