"""Time of training steps, throughput and deferred logging."""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import torch
from mmengine.hooks import Hook, LoggerHook, RuntimeInfoHook
from mmengine.model import BaseModel
from mmpretrain.registry import HOOKS

from mmdisco.launch.loaders import batch_size_of
from mmdisco.utils import unwrapped

Mark = float | torch.cuda.Event  # both marks of a pair are of one kind
SHARES = ('data_wait', 'teacher', 'student', 'other')


def mark() -> Mark:
    """Record a point in time, of the GPU's stream if there is one, without waiting."""
    if not torch.cuda.is_available():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds(start: Any, end: Any) -> float:
    """Return the seconds between two marks."""
    if isinstance(start, float):
        return end - start
    return start.elapsed_time(end) / 1000


class _LeaveHook(Hook):
    """Record when all hooks of a step are done and the loader continues."""

    priority = 'LOWEST'

    def __init__(self, share: 'StepShareHook') -> None:
        self.share = share

    def before_train_epoch(self, runner) -> None:
        """Restart the clock; time before the epoch belongs to no step."""
        self.share.ended = self.share.left = mark()

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Record the end of a step, including log and checkpoint."""
        self.share.left = mark()


@HOOKS.register_module()
class StepShareHook(Hook):
    """Log how the training time is spent, in per cent.

    - ``data_wait``: waiting for the loader; on a GPU, its idle time.
    - ``teacher``: forward pass of the frozen teacher.
    - ``student``: forward and backward pass of the rest, including momentum
      encoder and losses.
    - ``other``: preparing the batch, optimizer, log, checkpoints.

    The values cover the iterations since the last multiple of ``window``;
    measuring never waits for a GPU. The first iteration, a warm-up, is excluded.

    Args:
        window (int): Iterations. Defaults to 100.
        advise_above (float): Log advice once if ``data_wait`` is above this
            percentage. Defaults to 20.
    """

    priority = 'NORMAL'  # after the timer, before the logger

    def __init__(self, window: int = 100, advise_above: float = 20.0) -> None:
        self.window = window
        self.advise_above = advise_above
        self._totals: Counter = Counter()
        self._steps: deque = deque()  # steps that the GPU may not have finished
        self._marks: dict[str, Mark] = {}
        self._warm = False

    def before_train(self, runner) -> None:
        """Register hooks on model, teacher and optimizer."""
        model: BaseModel = unwrapped(runner.model)

        def note(name: str) -> Callable:
            return lambda *_: self._marks.update({name: mark()})

        model.register_forward_pre_hook(note('forward'))
        if hasattr(model, 'teacher'):
            model.teacher.register_forward_pre_hook(note('teacher'))
            model.teacher.register_forward_hook(note('teacher_end'))
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        if optimizer is not None:
            optimizer.register_step_pre_hook(note('optimizer'))
        runner.register_hook(_LeaveHook(self))

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Start a step when its batch is loaded."""
        self._marks = dict(start=self.ended, left=self.left, loaded=mark())

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """End a step, and log the shares of all completed ones."""
        self.ended = self._marks['end'] = mark()
        if self._warm:
            self._steps.append(self._marks)
        self._warm = True
        while self._steps and self._is_done(self._steps[0]):
            self._totals.update(self._shares(self._steps.popleft()))
        total = sum(self._totals.values())
        if not total:
            return
        for name in SHARES:
            runner.message_hub.update_scalar(
                f'train/{name}', 100 * self._totals[name] / total
            )
        if self.every_n_train_iters(runner, self.window):
            self._advise(runner, 100 * self._totals['data_wait'] / total)
            self._totals.clear()

    @staticmethod
    def _is_done(step: dict) -> bool:
        return isinstance(step['end'], float) or step['end'].query()

    @staticmethod
    def _shares(step: dict) -> dict[str, float]:
        waiting = seconds(step['left'], step['loaded'])
        teacher = student = 0.0
        if 'teacher_end' in step:
            teacher = seconds(step['teacher'], step['teacher_end'])
        if 'forward' in step:  # not if train_step calls loss() itself
            student = (
                seconds(step['forward'], step.get('optimizer', step['end'])) - teacher
            )
        total = seconds(step['start'], step['end'])
        return dict(
            data_wait=waiting,
            teacher=teacher,
            student=student,
            other=total - waiting - teacher - student,
        )

    def _advise(self, runner, waiting: float) -> None:
        if waiting <= self.advise_above:
            return
        workers = runner.train_dataloader.num_workers
        runner.logger.warning(
            f'{waiting:.0f} % of the time was spent waiting for images: set '
            f'train_dataloader.num_workers higher (now {workers}), move the '
            'images to a faster disk, or try tools/train.py --speed auto'
        )
        self.advise_above = float('inf')


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log ``images_per_s``, images per second of all ranks.

    It is computed from the times of mmengine's ``IterTimerHook`` over the
    iterations since the last multiple of ``window``; without that hook nothing
    is logged.

    Args:
        window (int): Iterations. Defaults to 100.
    """

    priority = 'NORMAL'  # after the timer, before the logger

    def __init__(self, window: int = 100) -> None:
        self.window = window
        self.images = 0
        self.seconds = 0.0

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Update the logged value."""
        hub = runner.message_hub
        if 'train/time' not in hub.log_scalars:
            return
        self.seconds += hub.get_scalar('train/time').current()
        self.images += batch_size_of(runner.train_dataloader) * runner.world_size
        hub.update_scalar('train/images_per_s', self.images / max(self.seconds, 1e-9))
        if self.every_n_train_iters(runner, self.window):
            self.images, self.seconds = 0, 0.0


@HOOKS.register_module()
class LateLogHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook`` that reads losses only for logging.

    mmengine's hook reads them at each iteration and thus waits for the GPU each
    time. The logged values are the same.
    """

    def before_train(self, runner) -> None:
        """Collect the intervals of the log."""
        super().before_train(runner)
        self._intervals = [
            hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)
        ]
        self._unread: list[dict] = []

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Keep the outputs, and read them before the log is written."""
        self._unread.append(
            {  # otherwise each would keep its graph alive
                key: value.detach() if torch.is_tensor(value) else value
                for key, value in (outputs or {}).items()
            }
        )
        if not (
            any(
                self.every_n_inner_iters(batch_idx, n)
                or self.every_n_train_iters(runner, n)
                for n in self._intervals
            )
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
            or self.is_last_train_iter(runner)
        ):
            return
        for values in self._unread:
            super().after_train_iter(runner, batch_idx, data_batch, values)
        self._unread.clear()
