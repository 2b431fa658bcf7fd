"""Time variants of a step in turns, and their peak memory, in processes."""

import re
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mmdisco.errors import InputError

# An importable function that builds a step, and its arguments.
Variant = tuple[Callable[..., Callable[[], object]], tuple]


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak_mib() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path('/proc/self/status')
    if status.is_file():  # getrusage inherits the peak of the parent
        peak = re.search(r'VmHWM:\s+(\d+) kB', status.read_text())
        if peak:
            return int(peak[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS


def _serve(pipe: Connection, variants: dict[str, Variant]) -> None:
    try:
        steps = {name: build(*args) for name, (build, args) in variants.items()}
        for step in steps.values():
            step()  # compiles
        pipe.send('ready')
        while name := pipe.recv():
            _synchronize()
            start = time.perf_counter()
            steps[name]()
            _synchronize()
            pipe.send(time.perf_counter() - start)
        pipe.send(_peak_mib())
    except Exception as error:
        pipe.send(InputError(str(error)))  # not every exception can be pickled
        raise


class StepProcess:
    """A process with some variants of a step.

    Its settings, such as those of the C library's allocator, are separate.

    Args:
        variants (dict): The variants by name.
    """

    def __init__(self, variants: dict[str, Variant]) -> None:
        self.names = list(variants)
        context = get_context('spawn')
        self._pipe, end = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(end, variants), daemon=True
        )
        self._process.start()
        end.close()

    def ask(self, name: str = '') -> float:
        """Time one step, or end the process.

        Args:
            name (str): The variant, or '' to end. Defaults to ''.

        Returns:
            float: Seconds of the step, or peak memory of the process in MiB.
        """
        with suppress(BrokenPipeError):  # reported with the answer
            self._pipe.send(name)
        return self.answer()

    def answer(self) -> Any:
        """Wait for the next message of the process.

        Raises:
            InputError: If the process failed; it has printed a traceback.
        """
        try:
            value = self._pipe.recv()
        except (EOFError, OSError):
            value = InputError('the process died: too little memory?')
        if isinstance(value, InputError):
            raise InputError(f'variant {", ".join(self.names)}: {value}')
        return value

    def stop(self) -> None:
        """End the process immediately."""
        self._process.terminate()
        self._process.join()


def peak_memory(name: str, variant: Variant, steps: int = 2) -> float:
    """Peak memory of a step in a separate process.

    Args:
        name (str): Name of the variant.
        variant (tuple): Function that builds the step, and its arguments.
        steps (int): Steps after the first one, which compiles. Defaults to 2.

    Returns:
        float: MiB of the process; on a GPU, MiB allocated by torch.
    """
    process = StepProcess({name: variant})
    try:
        process.answer()
        for _ in range(steps):
            process.ask(name)
        return process.ask()
    finally:
        process.stop()


def take_turns(
    groups: Sequence[dict[str, Variant]], rounds: int, budget: float = float('inf')
) -> dict[str, dict]:
    """Time variants of a step in turns, so that all share a slow phase.

    Args:
        groups (Sequence[dict]): Variants by name, one process per group.
        rounds (int): Steps of each variant.
        budget (float): Seconds after which no further round starts. Defaults to
            infinity.

    Returns:
        dict: By name, ``seconds`` (the median) and ``all``.
    """
    start = time.monotonic()
    processes: list[StepProcess] = []
    times: dict[str, list[float]] = {}
    try:
        for group in groups:
            processes.append(StepProcess(group))
            processes[-1].answer()
            print(f'ready: {", ".join(group)}', flush=True)
        for turn in range(rounds):
            if turn and time.monotonic() - start > budget:
                break
            for process in processes:
                for name in process.names:
                    times.setdefault(name, []).append(process.ask(name))
    finally:
        for process in processes:
            process.stop()
    return {name: dict(seconds=median(t), all=t) for name, t in times.items()}
