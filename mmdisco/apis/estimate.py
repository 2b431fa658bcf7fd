"""Time, memory and disk of a training, from a few steps of it."""

import copy
import resource
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper

from mmdisco.utils import unwrapped
from .training import build_runner


class Estimate(NamedTuple):
    """What a training costs.

    Attributes:
        seconds (float): Of a step.
        memory (int): Highest number of bytes of this process, or on its GPU.
        checkpoint (int): Bytes of a checkpoint.
        parameters (int): Of the student's backbone.
    """

    seconds: float
    memory: int
    checkpoint: int
    parameters: int


class _ClockHook(Hook):
    """Records the end of each step."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.times: list[float] = []

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Record the time when the device is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def estimate(cfg: Config, steps: int = 8, warm_up: int = 4) -> Estimate:
    """Run a few steps of a training and throw them away.

    Args:
        cfg (Config): A config of :func:`~mmdisco.apis.training.configure`, with
            an iteration-based loop. Not changed.
        steps (int): Measured steps. Defaults to 8.
        warm_up (int): Steps before them. Defaults to 4.

    Returns:
        Estimate: Per-step time is the mean, so that waiting for images counts.

    Raises:
        InputError: If the training can't be built.
    """
    cfg = copy.deepcopy(cfg)
    cfg.train_cfg.max_iters = steps + warm_up
    cfg.param_scheduler = None
    cfg.default_hooks.checkpoint = None
    clock = _ClockHook()
    with TemporaryDirectory(prefix='mmdisco-estimate-') as folder:
        cfg.work_dir = folder
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        runner = build_runner(cfg, [])
        runner.register_hook(clock)
        runner.train()
        model = unwrapped(runner.model)
        backbone = getattr(model, 'ssl', model).backbone
        numbers = sum(v.numel() for v in model.state_dict().values())
        found = Estimate(
            (clock.times[-1] - clock.times[warm_up - 1]) / steps,
            _peak_memory(),
            4 * (numbers + _optimizer_numbers(runner.optim_wrapper)),
            sum(p.numel() for p in backbone.parameters()),
        )
        runner.visualizer.close()
        for handler in [*runner.logger.handlers]:
            handler.close()
    return found


def _optimizer_numbers(wrapper: OptimWrapper) -> int:
    """Numbers that the optimizer keeps."""
    return sum(
        value.numel()
        for state in wrapper.optimizer.state.values()
        for value in state.values()
        if torch.is_tensor(value)
    )


def _peak_memory() -> int:
    """Most bytes that this process has held, on its GPU if it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024
