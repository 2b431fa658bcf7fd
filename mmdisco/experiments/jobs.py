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
LIBC = ctypes.CDLL(None) if sys.platform == 'linux' else None


def _die_with_parent() -> None:
    """Have a run stopped when whoever started it is killed (Linux)."""
    if LIBC is not None:
        LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@dataclass
class Job:
    """One training run in a folder of its own, which can be taken up again."""

    name: str
    config: str
    work_dir: Path
    options: dict[str, object] = field(default_factory=dict)
    speed: str = 'off'

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint, there once the run has ended."""
        cfg = Config.fromfile(self.config)
        cfg.merge_from_dict(self.options)
        return self.work_dir / f'epoch_{cfg.train_cfg.max_epochs}.pth'

    def prepare(self) -> bool:
        """Keep what was done with the same settings, drop anything else.

        Returns:
            bool: Whether there is something left to run.
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
        note = self.work_dir / 'settings.py'
        before = note.read_text() if note.is_file() else None
        if self.work_dir.exists() and before != settings:
            print(f'[{self.name}] settings have changed: starting anew')
            shutil.rmtree(self.work_dir)
        self.work_dir.mkdir(parents=True, exist_ok=True)
        note.write_text(settings)
        return not self.checkpoint.is_file()

    def peak_memory(self) -> float:
        """Peak memory in MiB: of the GPU, or else of the whole process."""
        logged = [values['memory'] for values in self.log() if 'memory' in values]
        return max(logged, default=read_peak(self.work_dir))

    def log(self) -> list[dict]:
        """The logged training values of all attempts, one dict an epoch."""
        epochs = {}
        for values in scalars(self.work_dir):
            if 'epoch' in values:  # else of an evaluation
                epochs[values['epoch']] = values
        return [epochs[key] for key in sorted(epochs)]

    def seconds(self) -> float:
        """Time of all steps, from the logged mean time of each epoch."""
        total, before = 0.0, 0
        for values in self.log():
            total += values['time'] * (values['iter'] - before)
            before = values['iter']
        return total


def scalars(work_dir: Path) -> Iterator[dict]:
    """All values that the attempts at a run have logged, in order."""
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:  # cut by a kill
                continue


def run_jobs(jobs: Sequence[Job]) -> None:
    """Run what is left of some jobs, as many at once as there are cores.

    Small networks don't use several threads well, several runs do. Log lines
    are printed as they come, behind the job's name.

    Args:
        jobs (Sequence[Job]): The jobs, longest first.

    Raises:
        InputError: If a job fails, with its last line.
    """
    todo = [job for job in jobs if job.prepare()]
    for job in jobs:
        if job not in todo:
            print(f'[{job.name}] is there already: {job.checkpoint}')
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


NAME = 'peak_memory_mib.txt'


def read_peak(folder: Path) -> float:
    """What :func:`keep_peak` has noted, in MiB; 0 if nothing."""
    file = folder / NAME
    return float(file.read_text()) if file.is_file() else 0.0


def keep_peak(process: int, folder: Path) -> None:
    """Note the peak memory of a process that is still running (Linux).

    Args:
        process (int): Its number.
        folder (Path): Where; the highest of several processes stays.
    """
    try:
        status = Path(f'/proc/{process}/status').read_text()
    except OSError:  # not Linux, or it has ended
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
    (folder / NAME).write_text(f'{peak:.0f}')
