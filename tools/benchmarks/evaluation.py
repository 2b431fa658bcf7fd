"""Score the students of the quickstart by all protocols of tools/eval.

Run `python tools/quickstart.py --seeds 3` first. Scores of the same checkpoints
are kept from an existing table.
"""

import argparse
import csv
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mmdisco.checkpoints import sha256_of
from mmdisco.errors import MissingFileError
from mmdisco.evaluation.features.cache import Features
from mmdisco.evaluation.features.encoder import open_encoder
from mmdisco.evaluation.features.extract import extract_split
from mmdisco.evaluation.features.views import DEFAULTS
from mmdisco.evaluation.protocols import (
    few_shot_accuracy,
    knn_accuracy,
    label_fraction,
    linear_lbfgs,
    linear_sgd,
    retrieval_map,
)
from mmdisco.evaluation.sources import check_pair, open_source
from mmdisco.experiments.stats import (
    EVALUATION_COLUMNS,
    csv_text,
    evaluation_report,
    provenance,
    write_text,
)
from mmdisco.launch import one_line_errors

PROTOCOLS = {
    'kNN, k = 20': lambda a, b: knn_accuracy(a, b, [20], [0.07])[20, 0.07]['top1'],
    'linear probe, L-BFGS': lambda a, b: linear_lbfgs(a, b)['top1'],
    'linear probe, SGD': lambda a, b: linear_sgd(a, b)['top1'],
    'linear probe, 1 % of labels': lambda a, b: label_fraction(a, b, '1')['top1'],
    'linear probe, 10 % of labels': lambda a, b: label_fraction(a, b, '10')['top1'],
    'few-shot, 1 a class': lambda a, b: few_shot_accuracy(a, b, 1)['top1'],
    'few-shot, 5 a class': lambda a, b: few_shot_accuracy(a, b, 5)['top1'],
    'few-shot, 10 a class': lambda a, b: few_shot_accuracy(a, b, 10)['top1'],
    'retrieval, mAP': lambda a, b: retrieval_map(a, b)['mean'],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--runs',
        type=Path,
        default=Path('work_dirs/quickstart'),
        help='folder of the students, STUDENT/seedN/epoch_*.pth',
    )
    parser.add_argument('--data', default='demo/fashion_mnist')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/evaluation'))
    parser.add_argument('--out', type=Path, default=Path('benchmarks/evaluation.csv'))
    return parser.parse_args()


def checkpoints(runs: Path) -> dict[tuple[str, int], Path]:
    """The last checkpoint of each student and seed."""
    last = {}
    for folder in sorted(runs.glob('*/seed*')):
        files = sorted(
            folder.glob('epoch_*.pth'), key=lambda p: int(p.stem.removeprefix('epoch_'))
        )
        if files:
            key = folder.parent.name, int(folder.name.removeprefix('seed'))
            last[key] = files[-1]
    if not last:
        raise MissingFileError(
            f"no students in '{runs}': run python tools/quickstart.py --seeds 3"
        )
    return last


def features_of(checkpoint: Path, args: argparse.Namespace) -> Iterator[Features]:
    """Features of both splits."""
    encoder = open_encoder(str(checkpoint))
    sources = [open_source(args.data, split) for split in ('train', 'test')]
    check_pair(*sources)
    for source in sources:
        yield extract_split(
            encoder,
            source,
            DEFAULTS[source.kind],
            args.work_dir / encoder.sha256[:12] / source.split,
        )


def main() -> None:
    args = parse_args()
    about = provenance()
    rows = []
    if args.out.is_file():
        with args.out.open() as file:
            rows = list(csv.DictReader(file))
    students = checkpoints(args.runs)
    present = {sha256_of(str(path)) for path in students.values()}
    rows = [row for row in rows if row['sha256'] in present]
    for (student, seed), checkpoint in students.items():
        sha256 = sha256_of(str(checkpoint))
        done = {row['protocol'] for row in rows if row['sha256'] == sha256}
        todo = [name for name in PROTOCOLS if name not in done]
        if not todo:
            continue
        train, test = features_of(checkpoint, args)
        for protocol in todo:
            start = time.perf_counter()
            score = PROTOCOLS[protocol](train, test)
            rows.append(
                dict(
                    student=student,
                    seed=seed,
                    protocol=protocol,
                    score=f'{score:.2f}',
                    seconds=f'{time.perf_counter() - start:.2f}',
                    sha256=sha256,
                    command=shlex.join(['python', *sys.argv]),
                    commit=about['commit'],
                    machine=about['machine']['cpu'],
                )
            )
            print(f'{student} seed {seed}, {protocol}: {score:.2f}', flush=True)
        write_text(args.out, csv_text(rows, EVALUATION_COLUMNS))
    write_text(args.out.with_suffix('.md'), evaluation_report(rows))
    print(
        f'{len(students)} students under {len(PROTOCOLS)} protocols: '
        f'{args.out.with_suffix(".md")}'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
