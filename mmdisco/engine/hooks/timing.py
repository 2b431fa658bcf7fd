import time
from collections import Counter, deque
from typing import Any, Union

import torch
from mmengine.hooks import Hook, LoggerHook, RuntimeInfoHook
from mmpretrain.registry import HOOKS

from mmdisco.launch.loaders import batch_size_of
from mmdisco.utils import unwrapped

Mark = Union[float, 'torch.cuda.Event']
SHARES = ('data_wait', 'teacher', 'student', 'other')


def mark() -> Mark:
    """A point in time: of the GPU's work if there is one, without waiting."""
    if not torch.cuda.is_available():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds(start: Any, end: Any) -> float:
    """Time between two marks of one kind."""
    if isinstance(start, float):
        return end - start
    return start.elapsed_time(end) / 1000


class _LeaveHook(Hook):
    """Notes when the last hook is done, and the loader's turn begins."""

    priority = 'LOWEST'

    def __init__(self, share: 'StepShareHook') -> None:
        self.share = share

    def before_train_epoch(self, runner) -> None:
        """An epoch begins: what was before is of no step."""
        self.share.ended = self.share.left = mark()

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """A step is over, log and checkpoint included."""
        self.share.left = mark()


@HOOKS.register_module()
class StepShareHook(Hook):
    """Logs where the time of training goes, in per cent.

    - ``data_wait``: waiting for the loader; on a GPU, how long it was idle.
    - ``teacher``: the frozen teacher's forward pass.
    - ``student``: forward and backward pass of what learns, momentum encoder
      and losses included.
    - ``other``: preparing the batch, optimizer, log, checkpoints.

    They are of the iterations since the last multiple of ``window``, and
    never wait for a GPU. The first iteration is left out: it warms up.

    Args:
        window (int): Iterations. Defaults to 100.
        advise_above (float): If ``data_wait`` is above, say once what to do.
            Defaults to 20.
    """

    priority = 'NORMAL'  # after the timer, before the logger

    def __init__(self, window: int = 100, advise_above: float = 20.0) -> None:
        self.window = window
        self.advise_above = advise_above
        self._totals: Counter = Counter()
        self._steps: deque = deque()  # of which the GPU is not done, perhaps
        self._marks: dict[str, Mark] = {}
        self._warm = False

    def before_train(self, runner) -> None:
        """Watch model, teacher and optimizer."""
        model = unwrapped(runner.model)

        def note(name):
            return lambda *_: self._marks.update({name: mark()})

        model.register_forward_pre_hook(note('forward'))
        if hasattr(model, 'teacher'):
            model.teacher.register_forward_pre_hook(note('teacher'))
            model.teacher.register_forward_hook(note('taught'))
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        if optimizer is not None:
            optimizer.register_step_pre_hook(note('optimizer'))
        runner.register_hook(_LeaveHook(self))

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Start a step: the batch has come."""
        self._marks = dict(start=self.ended, left=self.left, came=mark())

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """End a step, and log the shares of those that are complete."""
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
        waiting = seconds(step['left'], step['came'])
        teacher = student = 0.0
        if 'taught' in step:
            teacher = seconds(step['teacher'], step['taught'])
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
            f'{waiting:.0f} % of the time went into waiting for images: set '
            f'train_dataloader.num_workers higher (it is {workers}), put the '
            'images on a faster disk, or try tools/train.py --speed auto'
        )
        self.advise_above = float('inf')


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Logs ``images_per_s``, images per second of all ranks.

    It comes from the time that mmengine's ``IterTimerHook`` measures, over
    the iterations since the last multiple of ``window``; without that hook
    there is none.

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
        """Update the value of the log."""
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
    """mmengine's ``RuntimeInfoHook``, which reads losses when they are logged.

    The other reads them at each iteration, and so waits for the GPU each time.
    What is logged stays the same.
    """

    def before_train(self, runner) -> None:
        """Find out how often the log is written."""
        super().before_train(runner)
        self._intervals = [
            hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)
        ]
        self._unread: list[dict] = []

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Keep the outputs; read them before the log is written."""
        self._unread.append(
            {  # else each would hold on to its graph
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
