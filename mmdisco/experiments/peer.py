"""Trainings of this project and of another in turns: images per second."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.runner import Runner
from torch.optim.optimizer import register_optimizer_step_post_hook

from mmdisco.apis.recipe import Choices, recipe_of, set_length
from mmdisco.apis.training import TrainOptions, build_runner, configure
from mmdisco.errors import InputError
from .jobs import LIBC
from .stats import origin_line

COLUMNS = (
    'training',
    'round',
    'images_per_s',
    'seconds',
    'images',
    'load',
    'versions',
    'command',
    'commit',
    'machine',
)
TEACHER, STUDENT = 'resnet50', 'resnet18'
ENDLESS = 100_000  # steps, more than are ever timed
PEER = 'lightly-train'


def log_steps(path: str) -> None:
    """Write the time of each optimizer step of this process to a file.

    Args:
        path (str): The file: seconds of the system's clock, one line per step.
    """
    # open until the process ends
    file = open(path, 'a', buffering=1)

    def note(*_: object) -> None:
        file.write(f'{time.monotonic()}\n')

    register_optimizer_step_post_hook(note)


def build_training(settings: Mapping[str, Any]) -> Runner:
    """Build the training of ``mmdisco distill --method queue_kl``.

    Images are mixed, and the queue is as long as the other project's. Nothing is
    saved.

    Args:
        settings (Mapping): ``data``, a folder of photos; ``teacher``, a file of
            timm's ResNet-50; ``batch_size``; ``workers``; ``queue_len``;
            ``speed``, a level; ``compile``; ``out``, a folder.

    Returns:
        Runner: The training, ready to run.
    """
    cfg = recipe_of(
        settings['data'],
        f'torchvision:{STUDENT}',
        f'timm:{TEACHER}',
        Choices(
            method='queue_kl',
            batch_size=settings['batch_size'],
            workers=settings['workers'],
            checkpoint=settings['teacher'],
        ),
    ).cfg
    set_length(cfg, ENDLESS)
    cfg.model.mixup = 1.0
    cfg.model.distill.queue_len = settings['queue_len']
    cfg.default_hooks.checkpoint = None
    path = Path(settings['out'], 'config.py')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(cfg.pretty_text)
    cfg, notes = configure(
        TrainOptions(
            str(path),
            settings['out'],
            speed=settings['speed'],
            compile=settings['compile'],
        )
    )
    for note in notes:
        print(note, flush=True)
    return build_runner(cfg, [])


def train(settings: Mapping[str, Any]) -> None:
    """Train until the process is ended.

    Args:
        settings (Mapping): Of :func:`build_training`, and ``threads`` and ``log``, a
            file for :func:`log_steps`.
    """
    torch.set_num_threads(settings['threads'])
    runner = build_training(settings)
    log_steps(settings['log'])
    runner.train()


def _die_with_parent() -> None:
    """End the training when its parent process ends, even while stopped (Linux)."""
    if LIBC is not None:
        LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Training:
    """A training in processes of its own, which runs only in its turns.

    Between its turns all its processes are stopped by a signal, also those that
    load images.

    Args:
        name (str): Name in messages.
        command (Sequence[str]): The command. It must write the time of each step to
            ``log`` (:func:`log_steps`).
        log (Path): That file; an old one is deleted.
        output (Path): File for what the command prints.
        env (Mapping, optional): Environment of the command. Defaults to None, that
            of this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        output: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log, self.output = name, log, output
        log.unlink(missing_ok=True)
        with output.open('w') as file:
            self._process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def times(self) -> list[float]:
        """Times of the steps so far, in seconds."""
        if not self.log.is_file():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [float(line) for line in lines if line.endswith('\n')]

    def wait(self, steps: int) -> list[float]:
        """Let it run until this many steps are done, and stop it.

        Args:
            steps (int): Number of all steps.

        Returns:
            list[float]: Times of all steps, in seconds.

        Raises:
            InputError: If the command ends.
        """
        self._signal(signal.SIGCONT)
        while len(times := self.times()) < steps:
            if self._process.poll() is not None:
                lines = self.output.read_text(errors='replace').split('\n')
                last = next((line for line in lines[::-1] if line.strip()), 'no output')
                raise InputError(f"{self.name} has ended: {last} ('{self.output}')")
            time.sleep(0.05)
        self._signal(signal.SIGSTOP)
        return times

    def turn(self, steps: int) -> float:
        """Time some steps, after the one that its stop interrupted.

        Args:
            steps (int): Number of steps.

        Returns:
            float: Seconds of these steps, with the time waiting for images.
        """
        before = len(self.times())
        times = self.wait(before + 1 + steps)
        return times[before + steps] - times[before]

    def end(self) -> None:
        """End all its processes."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


def take_turns(trainings: Sequence[Training], rounds: int, steps: int) -> list[dict]:
    """Time trainings in turns.

    Args:
        trainings (Sequence[Training]): Trainings that have warmed up.
        rounds (int): Turns of each.
        steps (int): Timed steps of a turn.

    Returns:
        list[dict]: Per turn, ``training``, ``round``, ``seconds``, and ``load``,
        the system's mean number of running processes in the last minute.
    """
    rows = []
    for turn in range(rounds):
        for training in trainings:
            seconds, load = training.turn(steps), round(os.getloadavg()[0], 1)
            rows.append(
                dict(training=training.name, round=turn, seconds=seconds, load=load)
            )
            print(
                f'{training.name}, round {turn}: {seconds:.2f} s, load {load}',
                flush=True,
            )
    return rows


def ratios(rows: Sequence[dict], base: str) -> dict[str, list[float]]:
    """How many times as fast as another each training is, in each round.

    Args:
        rows (Sequence[dict]): With ``training``, ``round`` and ``images_per_s``.
        base (str): The other training.

    Returns:
        dict[str, list[float]]: Ratios by training.
    """
    rates = {(r['training'], int(r['round'])): float(r['images_per_s']) for r in rows}
    found: dict[str, list[float]] = {}
    for (name, turn), rate in rates.items():
        found.setdefault(name, []).append(rate / rates[base, turn])
    return found


def table(rows: Sequence[dict]) -> list[str]:
    """Lines of a table: median rates, and medians and ranges of the ratios.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`.
    """
    names = list(dict.fromkeys(row['training'] for row in rows))
    bases = [name for name in names if name.startswith(PEER)]
    by_base = {base: ratios(rows, base) for base in bases}
    lines = [
        f'| training | images/s | {" | ".join(f"× {base}" for base in bases)} |',
        '|---' * (2 + len(bases)) + '|',
    ]
    for name in names:
        rate = median(float(r['images_per_s']) for r in rows if r['training'] == name)
        cells = [
            '1'
            if name == base
            else f'{median(of[name]):.2f} ({min(of[name]):.2f} to {max(of[name]):.2f})'
            for base, of in by_base.items()
        ]
        lines.append(f'| {" | ".join([name, f"{rate:.1f}", *cells])} |')
    return lines


def markdown(rows: Sequence[dict]) -> str:
    """The report of a run.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`.
    """
    loads = [float(row['load']) for row in rows]
    rounds = 1 + max(int(row['round']) for row in rows)
    versions = ', '.join(dict.fromkeys(row['versions'] for row in rows))
    lines = [
        '# Distillation of a folder of photos, beside lightly-train',
        '',
        f'Images per second of a training, with loading: medians of {rounds} rounds, '
        f'in which the trainings take turns; {rows[0]["images"]} images each. Ratios '
        'are those within a round, median and range.',
        '',
        *table(rows),
        '',
        f'{versions}. {origin_line(rows)} Load {min(loads)} to {max(loads)} during '
        'the run, of which about 2 are the training.',
    ]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    train(json.loads(sys.argv[1]))
