"""Training runs in folders, resumed if interrupted, some at a time."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from mmdisco.checkpoints import sha256_of
from mmdisco.errors import InputError
from mmdisco.paths import project_root
from mmdisco.utils import available_cores

TRAIN = project_root() / 'tools' / 'train.py'
PEAK_FILE = 'peak_memory_mib.txt'
LIBC = ctypes.CDLL(None) if sys.platform == 'linux' else None


def _die_with_parent() -> None:
    """Stop the run when its parent process is killed (Linux)."""
    if LIBC is not None:
        LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@dataclass
class Job:
    """One training run in its own folder, which can be resumed.

    Args:
        name (str): Name in the log lines.
        config (str): Path of the config.
        work_dir (Path): Folder of the run.
        options (dict): Config options by dotted key.
        speed (str): ``--speed`` of ``tools/train.py``. Defaults to 'off'.
        compile (bool): Whether a level that compiles does so. Defaults to True.
    """

    name: str
    config: str
    work_dir: Path
    options: dict[str, object] = field(default_factory=dict)
    speed: str = 'off'
    compile: bool = True

    @property
    def checkpoint(self) -> Path:
        """Path of the last checkpoint, written at the end of the run."""
        cfg = Config.fromfile(self.config)
        cfg.merge_from_dict(self.options)
        return self.work_dir / f'epoch_{cfg.train_cfg.max_epochs}.pth'

    def prepare(self) -> bool:
        """Keep the folder of a run with the same settings, delete any other.

        Returns:
            bool: Whether the run is unfinished.
        """
        cfg = Config.fromfile(self.config)
        cfg.merge_from_dict(self.options)
        files = {
            value: sha256_of(value)
            for value in self.options.values()
            if isinstance(value, str) and Path(value).is_file()
        }
        settings = f'{cfg.pretty_text}\nfiles = {files}\n'
        if self.speed != 'off':
            settings += f'speed = {self.speed}\n'
        if not self.compile:
            settings += 'compile = False\n'
        note = self.work_dir / 'settings.py'
        before = note.read_text() if note.is_file() else None
        if self.work_dir.exists() and before != settings:
            print(f'[{self.name}] settings have changed: starting again')
            shutil.rmtree(self.work_dir)
        self.work_dir.mkdir(parents=True, exist_ok=True)
        note.write_text(settings)
        return not self.checkpoint.is_file()

    def peak_memory(self) -> float:
        """Peak memory in MiB, of the GPU if logged, else of the process."""
        logged = [values['memory'] for values in self.log() if 'memory' in values]
        return max(logged, default=read_peak(self.work_dir))

    def log(self) -> list[dict]:
        """The logged training values of all attempts, one dict per epoch."""
        epochs = {}
        for values in scalars(self.work_dir):
            if 'epoch' in values:  # not an evaluation
                epochs[values['epoch']] = values
        return [epochs[key] for key in sorted(epochs)]

    def seconds(self) -> float:
        """Seconds of all steps, from the logged mean of each epoch."""
        total, before = 0.0, 0
        for values in self.log():
            total += values['time'] * (values['iter'] - before)
            before = values['iter']
        return total


def scalars(work_dir: Path) -> Iterator[dict]:
    """All values logged by the attempts at a run, in order."""
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:  # truncated by a kill
                continue


def run_jobs(jobs: Sequence[Job]) -> None:
    """Run the unfinished jobs, one at a time per core.

    Small networks use several runs better than several threads. Log lines are
    printed after the name of their job.

    Args:
        jobs (Sequence[Job]): The jobs, longest first.

    Raises:
        InputError: If a job fails, with the last line of its output.
    """
    todo = [job for job in jobs if job.prepare()]
    for job in jobs:
        if job not in todo:
            print(f'[{job.name}] is finished: {job.checkpoint}')
    if not todo:
        return
    cores = available_cores()
    workers = min(cores, len(todo))
    running: list[subprocess.Popen] = []
    lock, stop = threading.Lock(), threading.Event()

    def run(job: Job) -> None:
        options = [f'{key}={value}' for key, value in job.options.items()]
        with lock:
            if stop.is_set():
                return
            process = subprocess.Popen(
                [
                    sys.executable,
                    '-W',
                    'ignore',
                    TRAIN,
                    job.config,
                    '--resume',
                    '--work-dir',
                    str(job.work_dir),
                    '--speed',
                    job.speed,
                    *([] if job.compile else ['--no-compile']),
                    '--cfg-options',
                    *options,
                ],
                env=dict(os.environ, OMP_NUM_THREADS=str(cores // workers)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=_die_with_parent,
            )
            running.append(process)
        last = ''
        assert process.stdout  # a pipe
        for line in process.stdout:
            last = line.strip() or last
            keep_peak(process.pid, job.work_dir)
            if 'Epoch(train)' in line or 'WARNING - Student' in line:
                print(f'[{job.name}] {line.split(" - ")[-1].strip()}', flush=True)
        if process.wait() and not stop.is_set():
            raise InputError(f'{job.name} failed: {last} (log: {job.work_dir})')

    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in as_completed(pool.submit(run, j) for j in todo):
                future.result()
        except BaseException:
            with lock:
                stop.set()
                for process in running:
                    process.terminate()
            raise


def read_peak(folder: Path) -> float:
    """The peak written by :func:`keep_peak`, in MiB; 0 if none was."""
    file = folder / PEAK_FILE
    return float(file.read_text()) if file.is_file() else 0.0


def keep_peak(process: int, folder: Path) -> None:
    """Write the peak memory of a running process to a file (Linux).

    Args:
        process (int): Process id.
        folder (Path): Folder of the file; a higher peak in it is kept.
    """
    try:
        status = Path(f'/proc/{process}/status').read_text()
    except OSError:  # not Linux, or the process has ended
        return
    kib = next(
        (
            int(line.split()[1])
            for line in status.splitlines()
            if line.startswith('VmHWM')
        ),
        0,
    )
    peak = max(read_peak(folder), kib / 1024)
    (folder / PEAK_FILE).write_text(f'{peak:.0f}')
