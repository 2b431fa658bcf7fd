"""The quickstart's students as backbones of C4 detectors.

Run `python tools/quickstart.py --seeds 3` first. Trains Faster R-CNN on a set in
VOC's format and Mask R-CNN on one in COCO's, garments in photographs, from
random weights, MoCo-v2's student and DisCo's, with equal iterations at each
learning rate. Finished runs are kept: start the tool again to continue.
"""

import argparse
import shlex
from itertools import product
from pathlib import Path

from mmdisco.experiments.detection import (
    COLUMNS,
    DETECTORS,
    INITS,
    data_of,
    draw,
    job_of,
    markdown,
    reopen,
    scores,
    student_of,
)
from mmdisco.experiments.jobs import Job, run_jobs
from mmdisco.experiments.stats import csv_text, provenance, write_text
from mmdisco.launch import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--runs',
        type=Path,
        default=Path('work_dirs/quickstart'),
        help='folder of the students, STUDENT/seedN/epoch_*.pth',
    )
    parser.add_argument(
        '--detectors', nargs='+', choices=DETECTORS, default=list(DETECTORS)
    )
    parser.add_argument('--inits', nargs='+', choices=INITS, default=list(INITS))
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument(
        '--lr',
        type=float,
        nargs='+',
        default=[0.03, 0.01],
        help='learning rates; all initialisations train at each',
    )
    parser.add_argument('--epochs', type=int, default=6)
    parser.add_argument(
        '--train', type=int, default=2000, help='number of training images'
    )
    parser.add_argument('--test', type=int, default=400, help='number of test images')
    parser.add_argument(
        '--objects',
        type=Path,
        default=Path('/usr/share/datasets/fashion-mnist'),
        help="folder of Fashion-MNIST's IDX files",
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/detection'))
    parser.add_argument('--out', type=Path, default=Path('benchmarks/detection.csv'))
    return parser.parse_args()


def jobs_of(args: argparse.Namespace) -> dict[tuple, Job]:
    """One job per combination; creates the data sets."""
    data = {
        name: data_of(
            args.work_dir, DETECTORS[name][1], args.train, args.test, args.objects
        )
        for name in args.detectors
    }
    return {
        (name, init, seed, lr): job_of(
            name,
            init,
            seed,
            lr,
            args.epochs,
            student_of(args.runs, init, seed),
            data[name],
            args.work_dir,
        )
        for lr, seed, name, init in product(
            args.lr, range(args.seeds), args.detectors, args.inits
        )
    }


def main() -> None:
    args = parse_args()
    about = provenance()
    jobs = jobs_of(args)
    for job in jobs.values():
        reopen(job)
    run_jobs(list(jobs.values()))
    rows: list[dict] = []
    for (name, init, seed, lr), job in jobs.items():
        values = scores(job)
        options = [f'{key}={value}' for key, value in job.options.items()]
        for detector, keys in DETECTORS[name][2].items():
            rows.append(
                dict(
                    detector=detector,
                    lr=f'{lr:g}',
                    init=init,
                    seed=seed,
                    # without detections CocoMetric logs no AP
                    **{
                        column: f'{100 * values.get(key, 0.0):.2f}'
                        for column, key in zip(('AP', 'AP50'), keys)
                    },
                    seconds=f'{job.seconds():.0f}',
                    command=shlex.join(
                        [
                            'python',
                            'tools/train.py',
                            job.config,
                            '--cfg-options',
                            *options,
                        ]
                    ),
                    commit=about['commit'],
                    machine=about['machine']['cpu'],
                )
            )
    rows.sort(key=lambda row: row['detector'])  # instead of the order of the runs
    write_text(args.out, csv_text(rows, COLUMNS))
    report = markdown(rows, args.train, args.test, args.epochs)
    write_text(args.out.with_suffix('.md'), report)
    draw(rows, args.out.with_suffix('.png'))
    print(report)


if __name__ == '__main__':
    with one_line_errors():
        main()
