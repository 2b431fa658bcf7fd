"""Check this project on a GPU: one table and a JSON file (tools/dev/gpu_check.sh).

Each part has a time limit; a part that fails or takes longer is reported, and the
next one runs. The exit status is 1 if a part did not pass.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

from mmdisco.engine import CudaPrefetcher
from mmdisco.experiments.stats import write_json
from mmdisco.experiments.timing import DEVICE, write_photos
from mmdisco.launch import one_line_errors, read_config
from mmdisco.launch.speed import apply_speed
from mmdisco.paths import configs_root

CONFIG = 'configs/disco/r50_mbv3.py'
Rows = list[tuple[str, str, str]]  # part, what, result


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='gpu_check.json', help='JSON file to write')
    parser.add_argument('--batch-size', type=int, default=256)
    parser.add_argument('--workers', type=int, default=8)
    parser.add_argument(
        '--seconds', type=int, default=450, help='time limit of all parts together'
    )
    return parser.parse_args()


def run(words: Sequence[str], limit: float) -> subprocess.CompletedProcess:
    """Run a Python tool of the clone."""
    return subprocess.run(
        [sys.executable, '-W', 'ignore', *words],
        capture_output=True,
        text=True,
        timeout=limit,
    )


def last_line(done: subprocess.CompletedProcess) -> str:
    lines = f'{done.stdout}\n{done.stderr}'.strip().splitlines()
    return lines[-1] if lines else f'exit status {done.returncode}'


def tests(folder: Path, args: argparse.Namespace, limit: float) -> Rows:
    """The tests marked ``gpu``, one row for each."""
    report = folder / 'tests.xml'
    done = run(
        ['-m', 'pytest', '-q', '-n', '0', '-m', 'gpu', f'--junitxml={report}', 'tests'],
        limit,
    )
    if not report.is_file():
        return [('tests', 'pytest -m gpu', f'failed: {last_line(done)}')]
    rows = []
    for case in ElementTree.parse(report).iter('testcase'):
        bad = [child.tag for child in case if child.tag in ('failure', 'error')]
        skipped = case.find('skipped') is not None
        state = 'failed' if bad else 'skipped' if skipped else 'passed'
        seconds = float(case.get('time', 0))
        rows.append(('tests', str(case.get('name')), f'{state}, {seconds:.1f} s'))
    return rows


def smoke(folder: Path, args: argparse.Namespace, limit: float) -> Rows:
    """Two iterations of a config with everything that --speed auto does."""
    start = time.perf_counter()
    done = run(
        ['tools/train.py', CONFIG, '--smoke', '--speed', 'auto']
        + ['--work-dir', str(folder / 'smoke')],
        limit,
    )
    state = 'passed' if done.returncode == 0 else f'failed: {last_line(done)}'
    seconds = time.perf_counter() - start
    return [('training', f'{CONFIG} --smoke --speed auto', f'{state}, {seconds:.0f} s')]


def steps(folder: Path, args: argparse.Namespace, limit: float) -> Rows:
    """Seconds and peak memory of a step: plain, exact, auto and bare."""
    path = folder / 'step.json'
    done = run(
        ['tools/benchmarks/train_step.py', '--batch-size', str(args.batch_size)]
        + ['--rounds', '5', '--budget', str(int(limit / 2)), '--json', str(path)]
        + ['--variants', 'plain', 'plain_eval', 'exact', 'auto']
        + ['bare_exact', 'bare_auto'],
        limit,
    )
    if done.returncode or not path.is_file():
        return [('step', 'train_step.py', f'failed: {last_line(done)}')]
    measured = json.loads(path.read_text())
    return [
        (
            'step',
            name,
            f'{1000 * row["seconds"]:.1f} ms, '
            f'{args.batch_size / row["seconds"]:.0f} images/s, '
            f'peak {row["peak_memory_mib"]:.0f} MiB',
        )
        for name, row in measured.items()
        if isinstance(row, dict) and 'seconds' in row
    ]


def loader(folder: Path, args: argparse.Namespace, limit: float) -> Rows:
    """Images per second from JPEG files to augmented views on the device."""
    init_default_scope('mmpretrain')
    photos = folder / 'photos'
    photos.mkdir()
    write_photos(photos, 2 * args.batch_size)
    cfg = read_config(str(configs_root() / 'quickstart' / 'own_photos.py'))
    apply_speed(cfg, 'auto')
    cfg.train_dataloader.update(
        batch_size=args.batch_size,
        num_workers=args.workers,
        persistent_workers=True,
        pin_memory=True,
    )
    cfg.train_dataloader.dataset.data_root = str(photos)
    batches = CudaPrefetcher(
        Runner.build_dataloader(cfg.train_dataloader), torch.device(DEVICE)
    )
    views = MODELS.build(cfg.data_preprocessor).to(DEVICE)
    number, start, first = 0, time.perf_counter(), 0.0
    while time.perf_counter() - start < limit / 2:
        for batch in batches:
            views(batch, training=True)
            torch.cuda.synchronize()
            if not first:
                first = time.perf_counter()  # workers have started
            else:
                number += args.batch_size
    rate = number / (time.perf_counter() - first)
    what = f'to the device, {args.workers} workers'
    return [('loader', what, f'{rate:.0f} images/s with two views')]


# name, part, and its share of the time
PARTS: Sequence[tuple[str, Callable, float]] = (
    ('tests', tests, 0.35),
    ('training', smoke, 0.15),
    ('step', steps, 0.4),
    ('loader', loader, 0.1),
)


def main() -> None:
    args = parse_args()
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, part, share in PARTS:
            limit = share * args.seconds
            try:
                rows += part(Path(folder), args, limit)
            except subprocess.TimeoutExpired:
                rows.append((name, 'all', f'failed: not done in {limit:.0f} s'))
            except Exception as error:  # the other parts still run
                reason = str(error).strip().splitlines() or [type(error).__name__]
                rows.append((name, 'all', f'failed: {reason[-1]}'))
            for row in rows[-40:]:
                if row[0] == name:
                    print(f'{row[0]:9} {row[1]:60} {row[2]}', flush=True)
    write_json(
        args.out,
        dict(
            rows=[dict(zip(('part', 'what', 'result'), row)) for row in rows],
            gpu=torch.cuda.get_device_name(),
            memory_mib=torch.cuda.get_device_properties(0).total_memory // 2**20,
            cuda=torch.version.cuda,
        ),
    )
    failed = sum('failed' in row[2] for row in rows)
    print(f'{len(rows) - failed} of {len(rows)} passed; {args.out}')
    sys.exit(bool(failed))


if __name__ == '__main__':
    with one_line_errors():
        main()
