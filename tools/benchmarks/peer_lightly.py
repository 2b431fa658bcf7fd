"""Speed of a distillation beside lightly-train's, on a CPU.

Both train torchvision's ResNet-18 from one file of timm's ResNet-50 (with random
weights, which does not change the time) on one folder of JPEG files, with one view,
the same batch, threads, loading processes and length of the queue, and mixed images.
lightly-train runs its method distillationv3 with ``loss_local_weight=0``: the
divergence of similarities to a queue, as ``mmdisco distill --method queue_kl`` here.
Each uses its own augmentation and optimizer settings. The trainings take turns; those
that wait are stopped. Rates include loading.

lightly-train (AGPL-3.0) is installed from the package index into an environment in
the work folder, and only its public function is called there. Its usage events are
off.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path
from statistics import median

import timm
import torch

from mmdisco.errors import InputError
from mmdisco.experiments.peer import (
    COLUMNS,
    PEER,
    STUDENT,
    TEACHER,
    Training,
    markdown,
    take_turns,
)
from mmdisco.experiments.stats import csv_text, row_source, write_text
from mmdisco.experiments.timing import write_photos
from mmdisco.launch import one_line_errors
from mmdisco.paths import project_root
from mmdisco.utils import available_cores

VERSION = '0.18.0'
PRECISIONS = dict(fp32='32-true', bf16='bf16-mixed')
VARIANTS = (
    *(f'{PEER} {precision}' for precision in PRECISIONS),
    *(f'mmdisco {speed}' for speed in ('off', 'exact', 'auto')),
    # as it trains for less than an hour
    'mmdisco auto --no-compile',
)
WARM_UP = 4  # steps, after which queues of batches are full


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--variants', nargs='+', default=VARIANTS, choices=VARIANTS)
    parser.add_argument('--rounds', type=int, default=6)
    parser.add_argument('--steps', type=int, default=4, help='timed steps of a turn')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--threads', type=int, default=available_cores())
    parser.add_argument('--workers', type=int, default=1, help='loading processes')
    # one epoch, so that no turn has the start of one
    parser.add_argument('--images', type=int, default=2048)
    parser.add_argument('--work-dir', default='work_dirs/peer_lightly')
    parser.add_argument('--out-dir', default='benchmarks')
    return parser.parse_args()


def environment(folder: Path) -> Path:
    """Make the environment with lightly-train, if it is not there.

    Args:
        folder (Path): Folder of the environment.

    Returns:
        Path: Its interpreter.

    Raises:
        InputError: If the package can't be installed.
    """
    python = folder / 'bin' / 'python'
    # the same torch and networks on both sides
    wanted = {PEER: VERSION, **{name: _release(name) for name in ('torch', 'timm')}}
    wanted['torchvision'] = _release('torchvision')
    if not python.is_file():
        venv.create(folder, with_pip=True)
    requirements = [f'{name}=={number}' for name, number in wanted.items()]
    done = subprocess.run(
        [python, '-m', 'pip', 'install', '--quiet', *requirements],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().split('\n')[-1]
        raise InputError(
            f'{" ".join(requirements)} could not be installed into {folder}: {reason}'
        )
    return python


def _release(package: str) -> str:
    """Installed version of a package, without the build, e.g. '+cpu'."""
    return version(package).split('+')[0]


def prepare(args: argparse.Namespace, work_dir: Path) -> dict:
    """Write photos and the teacher's file.

    Returns:
        dict: The settings that all trainings share.
    """
    photos, teacher = work_dir / 'photos', work_dir / 'teacher.pth'
    photos.mkdir(parents=True, exist_ok=True)
    if len(list(photos.iterdir())) != args.images:
        for path in photos.iterdir():
            path.unlink()
        write_photos(photos, args.images)
    if not teacher.is_file():
        torch.save(timm.create_model(TEACHER).state_dict(), teacher)
    batches = args.images // args.batch_size
    steps = WARM_UP + args.rounds * (args.steps + 1)
    if batches < steps:
        raise InputError(
            f'--images {args.images} are {batches} batches, the run has {steps} steps: '
            'set --images higher, or --rounds lower'
        )
    return dict(
        data=str(photos),
        teacher=str(teacher),
        teacher_name=TEACHER,
        student=STUDENT,
        batch_size=args.batch_size,
        threads=args.threads,
        workers=args.workers,
        queue_len=max(args.images // 2 // args.batch_size, 1) * args.batch_size,
    )


def start(name: str, settings: dict, work_dir: Path, python: Path) -> Training:
    """Start a training and wait until it has warmed up.

    Args:
        name (str): One of :data:`VARIANTS`.
        settings (dict): Settings that all trainings share.
        work_dir (Path): Folder for the training's files.
        python (Path): Interpreter that has lightly-train.
    """
    project, level, *flags = name.split()
    folder = work_dir / name.replace(' ', '_')
    folder.mkdir(exist_ok=True)
    log = folder / 'steps.txt'
    settings = dict(settings, log=str(log), out=str(folder / 'run'))
    env = {**os.environ, 'OMP_NUM_THREADS': str(settings['threads'])}
    if project == PEER:
        settings['precision'] = PRECISIONS[level]
        script = Path(__file__).with_name('lightly_side.py')
        # -P: this folder has modules with common names
        command = [str(python), '-P', str(script)]
        env.pop('PYTHONPATH', None)
    else:
        settings.update(speed=level, compile=not flags)
        command = [sys.executable, '-W', 'ignore', '-m', 'mmdisco.experiments.peer']
        env['PYTHONPATH'] = os.pathsep.join(
            filter(None, [str(project_root()), os.environ.get('PYTHONPATH')])
        )
    training = Training(
        name, [*command, json.dumps(settings)], log, folder / 'output.txt', env
    )
    try:
        training.wait(WARM_UP)
    except BaseException:
        training.end()
        raise
    print(f'ready: {name}', flush=True)
    return training


def main() -> None:
    args = parse_args()
    work_dir, out = Path(args.work_dir).resolve(), Path(args.out_dir)
    source = row_source()  # 'dirty' before this run writes files
    settings = prepare(args, work_dir)
    python = environment(work_dir / 'env')
    trainings: list[Training] = []
    # stopped processes would stay behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('error: terminated'))
    try:
        for name in args.variants:
            trainings.append(start(name, settings, work_dir, python))
        timed = take_turns(trainings, args.rounds, args.steps)
    finally:
        for training in trainings:
            training.end()
    images = args.steps * args.batch_size
    versions = f'{PEER} {VERSION}, torch {version("torch")}, timm {version("timm")}'
    rows = [
        dict(
            row,
            images=images,
            images_per_s=round(images / row['seconds'], 3),
            seconds=round(row['seconds'], 4),
            versions=versions,
            command=shlex.join(['python', *sys.argv]),
            **source,
        )
        for row in timed
    ]
    for name in args.variants:
        rate = median(r['images_per_s'] for r in rows if r['training'] == name)
        print(f'{name:20} {rate:6.1f} images/s')
    report = markdown(rows)
    write_text(out / 'peer_lightly.csv', csv_text(rows, COLUMNS))
    write_text(out / 'peer_lightly.md', report)
    print(report)


if __name__ == '__main__':
    with one_line_errors():
        main()
