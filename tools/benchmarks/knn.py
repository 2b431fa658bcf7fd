"""Time of kNN relative to the bare matrix product, and its memory, at scale.

Random features in a memory-mapped file, as tools/eval caches them. Both are timed
alternately in one run. Memory is the peak of the whole process.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mmdisco.evaluation import knn_scores
from mmdisco.experiments.stats import provenance
from mmdisco.experiments.timing import peak_memory, take_turns
from mmdisco.launch import one_line_errors
from mmdisco.utils import atomic_write

CHUNK = 8192  # rows of both sides per block of the bare product


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--train', type=int, default=200_000)
    parser.add_argument('--test', type=int, default=10_000)
    parser.add_argument('--dim', type=int, default=512)
    parser.add_argument('--classes', type=int, default=1000)
    parser.add_argument('--k', type=int, default=20)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--out', type=Path, default=Path('benchmarks/knn.json'))
    return parser.parse_args()


def write(path: Path, num: int, dim: int, seed: int) -> None:
    """Write random features, [num, dim]."""
    rng = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, 'w+', 'float32', (num, dim))
    for first in range(0, num, CHUNK):
        rows = out[first : first + CHUNK]
        rows[:] = rng.standard_normal(rows.shape, 'float32')
    out.flush()


def opened(folder: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Training and test features, memory-mapped, [M, D] and [N, D]."""
    train, test = (
        torch.from_numpy(np.load(Path(folder, f'{name}.npy'), mmap_mode='c'))
        for name in ('train', 'test')
    )
    return train, test


def knn(folder: str, classes: int, k: int) -> Callable:
    """Return a function that computes the votes of all test features."""
    train, test = opened(folder)
    labels = torch.arange(len(train)) % classes
    return lambda: knn_scores(train, labels, test, classes, k)


def bare(folder: str) -> Callable:
    """Return a function that computes all similarities and discards them."""
    train, test = opened(folder)

    def run() -> None:
        for part in train.split(CHUNK):
            for rows in test.split(CHUNK):
                rows @ part.T

    return run


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, 'train.npy'), args.train, args.dim, 0)
        write(Path(folder, 'test.npy'), args.test, args.dim, 1)
        votes = knn, (folder, args.classes, args.k)
        rows = take_turns(
            [dict(knn=votes), dict(matrix_product=(bare, (folder,)))], args.rounds
        )
        peak = peak_memory('knn', votes, 1)
    ratio = rows['matrix_product']['seconds'] / rows['knn']['seconds']
    sizes = dict(
        train=args.train, test=args.test, dim=args.dim, classes=args.classes, k=args.k
    )
    with atomic_write(args.out) as half:
        half.write_text(
            json.dumps(
                dict(**provenance(), **sizes, **rows, peak_mib=peak, throughput=ratio),
                indent=1,
            )
            + '\n'
        )
    print(
        f'kNN {rows["knn"]["seconds"]:.1f} s, {ratio:.2f} of the throughput '
        f'of the bare matrix product, peak memory {peak:.0f} MiB'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
