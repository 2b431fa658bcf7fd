"""Models of a training step, timed in turns in processes, and their peak memory."""

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

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from mmdisco.errors import InputError
from mmdisco.launch import apply_speed, read_config
from mmdisco.launch.speed import set_up_process
from mmdisco.models.fast.student import speed_up_student
from mmdisco.paths import configs_root

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
METHODS = dict(disco='disco/r50_{}.py', seed='comparators/seed_r50_{}.py')
STUDENTS = ('effb0', 'effb1', 'mbv3', 'r18', 'r34')
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


def config(student: str, teacher: str, queue_len: int, method: str = 'disco') -> Config:
    """The config of a student and a method, from a teacher file.

    Args:
        student (str): As in ``configs/disco/r50_{student}.py``.
        teacher (str): Checkpoint of the R-50 teacher.
        queue_len (int): Length of the method's queue.
        method (str): 'disco' or 'seed'. Defaults to 'disco'.

    Returns:
        Config: The complete config.
    """
    init_default_scope('mmpretrain')
    MMLogger.get_current_instance().setLevel('WARNING')
    cfg = read_config(str(configs_root() / METHODS[method].format(student)))
    cfg.model.teacher.checkpoint = teacher
    queued = cfg.model.ssl if method == 'disco' else cfg.model.distill
    queued.queue_len = queue_len
    return cfg


def two_views(batch_size: int, size: int) -> list[Tensor]:
    """Two random views, always the same ones.

    Args:
        batch_size (int): Number of images N.
        size (int): Height H and width W.

    Returns:
        list[Tensor]: uint8, [N, 3, H, W] each.
    """
    torch.manual_seed(0)
    return [
        torch.randint(0, 256, (batch_size, 3, size, size), device=DEVICE).byte()
        for _ in range(2)
    ]


def fast_model(cfg: Config, level: str) -> nn.Module:
    """Build the model as ``tools/train.py --speed`` does.

    Args:
        cfg (Config): A DisCo config, changed in place.
        level (str): 'auto', 'exact' or 'off'.

    Returns:
        nn.Module: The model, in train mode.
    """
    apply_speed(cfg, level)
    set_up_process(cfg.get('speed', {}))
    model = MODELS.build(cfg.model)
    model.init_weights()
    if level != 'off':
        speed_up_student(model, cfg.speed.channels_last, cfg.speed.compile)
    return model.to(DEVICE).train()


def write_photos(folder: Path, number: int) -> list[str]:
    """Write JPEG files of 500x375 pixels, parts of scikit-learn's two photographs.

    Args:
        folder (Path): The folder.
        number (int): Number of files.

    Returns:
        list[str]: Their paths.
    """
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    rng = np.random.default_rng(0)
    paths = [str(folder / f'{i}.jpg') for i in range(number)]
    for i, path in enumerate(paths):
        left, top = int(rng.integers(0, 100)), int(rng.integers(0, 40))
        photos[i % 2].resize(
            (500, 375),
            Image.Resampling.BICUBIC,
            box=(left, top, left + 516, top + 387),
        ).save(path, quality=90)
    return paths


def print_steps(rows: dict, base: str = 'plain') -> None:
    """Print seconds, ratio to a base and peak memory of timed steps.

    Args:
        rows (dict): ``seconds`` and ``peak_memory_mib`` by name.
        base (str): Row that the ratios refer to. Defaults to 'plain'.
    """
    width = max(map(len, rows))
    for name, row in rows.items():
        ratio = rows[base]['seconds'] / row['seconds']
        memory = row['peak_memory_mib'] / rows[base]['peak_memory_mib']
        print(
            f'{name:<{width}} {row["seconds"]:7.3f} s  {ratio:5.2f}x  '
            f'peak {row["peak_memory_mib"]:6.0f} MiB  {memory:5.2f}'
        )
    for level in ('exact', 'auto', 'stored'):
        if level in rows and f'bare_{level}' in rows:
            ratio = rows[level]['seconds'] / rows[f'bare_{level}']['seconds']
            print(f'{level} takes {ratio:.3f} of its bare passes')
