"""DisCo and related methods on the bundled images.

One teacher, one student, equal epochs. Each method has at most four short
runs on four fifths of the training images, scored by the linear probe on the
others. The best setting is trained with each seed on all training images and
scored once on the test images. KD trains classifiers on the students of MoCo-v2
and DisCo. Finished runs are kept: start the tool again to continue.
"""

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope

from mmdisco.errors import InputError
from mmdisco.evaluation.features.bags import make_bags
from mmdisco.experiments.comparator_tables import (
    COLUMNS,
    Tuned,
    draw,
    markdown,
    sections,
)
from mmdisco.experiments.comparators import (
    METHODS,
    SWEPT,
    WEIGHT,
    WEIGHT_ROW,
    WEIGHTS,
    Common,
    Method,
    kd_scores,
)
from mmdisco.experiments.jobs import run_jobs
from mmdisco.experiments.stats import csv_text, row_source, write_text
from mmdisco.experiments.testbeds import (
    SEARCH_SEED,
    TRAINED,
    score_runs,
    scores_of,
)
from mmdisco.launch import one_line_errors, read_config
from mmdisco.utils import atomic_write

FULL = '/usr/share/datasets/fashion-mnist'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [method.name for method in METHODS]
    parser.add_argument('--methods', nargs='+', default=names, choices=names)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--epochs', type=int, default=12)
    parser.add_argument(
        '--images', type=int, default=10000, help='number of training images'
    )
    parser.add_argument(
        '--full', action='store_true', help=f'use all 60 000 images in {FULL}'
    )
    parser.add_argument('--work-dir', default='work_dirs/comparators')
    parser.add_argument('--out-dir', default='benchmarks')
    args = parser.parse_args()
    args.images = 60000 if args.full else args.images
    if args.seeds < 1 or not args.full and not 5120 <= args.images <= 10000:
        raise InputError(
            '--seeds must be 1 or more, --images between 5120 and 10000, '
            'the bundled ones; --full for all'
        )
    return args


def write_bags(common: Common, method: Method, stop: int) -> None:
    """Write the neighbours of the first images, unless the file exists."""
    path = common.bags(stop)
    if not path.is_file():
        job = common.job(method, {}, 0, stop)
        cfg = read_config(job.config)
        cfg.merge_from_dict(job.options)
        with atomic_write(str(path)) as half, half.open('wb') as file:
            np.save(file, make_bags(cfg, 5, 256).numpy().astype(np.int32))


def tune(methods: list[Method], common: Common, kept: int, source: dict) -> Tuned:
    """Held-out scores of each method's settings, as ``[(setting, score)]``."""
    jobs = [
        (method, setting, common.job(method, setting, SEARCH_SEED, kept))
        for method in methods
        for setting in method.settings()
    ]
    run_jobs([job for _, _, job in jobs])
    scores: Tuned = {}
    for (method, setting, _), values in zip(
        jobs, score_runs([job for _, _, job in jobs], common.images, True, source)
    ):
        scores.setdefault(method.name, []).append((setting, values['linear']))
    return scores


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    out, rows, swept, jobs = Path(args.out_dir), [], [], {}
    out.mkdir(parents=True, exist_ok=True)
    common = Common(
        Path(args.work_dir),
        FULL if args.full else 'demo/fashion_mnist',
        args.images,
        args.epochs,
    )
    common.work_dir.mkdir(parents=True, exist_ok=True)
    source = row_source()  # 'dirty' before this run writes files
    command = shlex.join(['python', *sys.argv])
    methods = [m for m in METHODS if m.name in args.methods]
    kept = int(TRAINED * args.images)
    for method in methods:
        if method.bags:
            write_bags(common, method, kept)
            write_bags(common, method, args.images)
    tuned = tune(methods, common, kept, source)
    for seed in range(args.seeds):
        todo = []
        for method in methods:
            setting = max(tuned[method.name], key=lambda pair: pair[1])[0]
            todo.append(
                (method, method.name, common.job(method, setting, seed, args.images))
            )
            for weight in WEIGHTS if method.name == SWEPT else ():
                todo.append(
                    (
                        method,
                        f'{WEIGHT_ROW}{weight:g}',
                        common.job(method, {WEIGHT: weight}, seed, args.images),
                    )
                )
        runs = list({job.work_dir: job for *_, job in todo}.values())
        run_jobs(runs)
        score_runs(runs, args.images, False, source)
        for method, name, job in todo:
            jobs.setdefault(name, []).append(job)
            (rows if name == method.name else swept).append(
                dict(
                    method=name,
                    distill=method.distill,
                    seed=seed,
                    command=command,
                    **scores_of(job, args.images, False, source),
                )
            )
        write_text(common.work_dir / 'comparators.csv', csv_text(rows + swept, COLUMNS))
    if {'MoCo-v2', SWEPT} <= set(args.methods):
        for name, scores in kd_scores(jobs, args.images).items():
            rows += [
                dict(
                    dict.fromkeys(COLUMNS),
                    **source,
                    method=name,
                    distill='KD',
                    seed=seed,
                    linear=score,
                    command=command,
                )
                for seed, score in enumerate(scores)
            ]
    report = markdown(rows + swept, tuned, args.images, args.epochs)
    write_text(out / 'comparators.csv', csv_text(rows + swept, COLUMNS))
    write_text(out / 'comparators.md', report)
    draw(sections(rows)['methods'], out / 'comparators.png')
    print(report)


if __name__ == '__main__':
    with one_line_errors():
        main()
