"""Times variants of a step that take turns, in processes of their own."""

import re
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import torch

from mmdisco.errors import InputError

# What builds a step, importable, and its arguments.
Variant = tuple[Callable[..., Callable[[], object]], tuple]


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak_mib() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path('/proc/self/status')
    if status.is_file():  # what getrusage says is inherited from the parent
        peak = re.search(r'VmHWM:\s+(\d+) kB', status.read_text())[1]
        return int(peak) / 2**10
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
        pipe.send(InputError(str(error)))  # not every error can be sent
        raise


class StepProcess:
    """A process with some variants of a step.

    It has settings of its own, as that of the C library's memory.

    Args:
        variants (dict): By name.
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
        """Time one step in seconds, or end with the peak memory in MiB.

        Args:
            name (str): The variant; none to end. Defaults to ''.
        """
        with suppress(BrokenPipeError):  # the answer will tell
            self._pipe.send(name)
        return self.answer()

    def answer(self) -> object:
        """Wait for what the process has to say.

        Raises:
            InputError: If it failed; it has printed a traceback.
        """
        try:
            value = self._pipe.recv()
        except (EOFError, OSError):
            value = InputError('the process died: too little memory?')
        if isinstance(value, InputError):
            raise InputError(f'variant {", ".join(self.names)}: {value}')
        return value

    def stop(self) -> None:
        """End it at once."""
        self._process.terminate()
        self._process.join()


def peak_memory(name: str, variant: Variant, steps: int = 2) -> float:
    """Peak memory of a step in a process of its own.

    Args:
        name (str): Of the variant.
        variant (tuple): What builds it, and arguments.
        steps (int): After the first, which compiles. Defaults to 2.

    Returns:
        float: MiB, of the process; of what torch allocated on a GPU.
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
    """Time variants of a step, interleaved, so that all share a slow phase.

    Args:
        groups (Sequence[dict]): Variants by name; a process for each group.
        rounds (int): Turns of each.
        budget (float): After so many seconds no further round is begun.

    Returns:
        dict: By name, ``seconds`` (the median) and ``all``.
    """
    begun = time.monotonic()
    processes, times = [], {}
    try:
        for group in groups:
            processes.append(StepProcess(group))
            processes[-1].answer()
            print(f'ready: {", ".join(group)}', flush=True)
        for turn in range(rounds):
            if turn and time.monotonic() - begun > budget:
                break
            for process in processes:
                for name in process.names:
                    times.setdefault(name, []).append(process.ask(name))
    finally:
        for process in processes:
            process.stop()
    return {name: dict(seconds=median(t), all=t) for name, t in times.items()}
