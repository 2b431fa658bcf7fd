"""The quickstart's student alone and with DisCo, on several methods.

On each method both arms share head, width, crops, epochs and the grid of
learning rates, given as factors of the config's rate. Runs of the grid train on
four fifths of the training images and are scored by the linear probe on the
others. The best rate of each arm is trained with each seed on all training
images and scored once on the test images. Finished runs are kept: start the
tool again to continue.
"""

import argparse
import shlex
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdisco.experiments.figures import draw_testbeds
from mmdisco.experiments.jobs import run_jobs
from mmdisco.experiments.stats import csv_text, row_source, write_text
from mmdisco.experiments.testbeds import (
    ARMS,
    COLUMNS,
    SEARCH_SEED,
    TRAINED,
    best_rate,
    config_of,
    job,
    markdown,
    scores_of,
    statistics,
)
from mmdisco.launch import one_line_errors

METHODS = ('mocov2', 'swav', 'dino', 'byol', 'simclr')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--methods', nargs='+', default=METHODS, choices=METHODS)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument(
        '--lr-factors', type=float, nargs='+', default=[1 / 3, 1.0, 2.0, 4.0, 8.0]
    )
    parser.add_argument('--epochs', type=int, default=12)
    parser.add_argument(
        '--images', type=int, default=10000, help='number of training images'
    )
    parser.add_argument('--work-dir', default='work_dirs/testbeds')
    parser.add_argument('--out-dir', default='benchmarks')
    return parser.parse_args()


def run_method(
    method: str, args: argparse.Namespace, grids: dict, source: dict
) -> list:
    """Run the grid and the seeds of a method.

    Args:
        method (str): The method.
        args (argparse.Namespace): The arguments.
        grids (dict): Gets the held-out scores of both arms.
        source (dict): ``commit`` and ``machine`` of new scores.

    Returns:
        list: Rows of the table.
    """
    work_dir, rows, seeds = Path(args.work_dir), [], {}
    base = Config.fromfile(config_of(method, 'none')).optim_wrapper.optimizer.lr
    rates = [base * factor for factor in args.lr_factors]
    common = {'train_cfg.max_epochs': args.epochs}
    stop = 'train_dataloader.dataset.stop'
    grid = {
        (arm, lr): job(
            method,
            arm,
            lr,
            SEARCH_SEED,
            {stop: int(TRAINED * args.images), **common},
            work_dir,
        )
        for arm in ARMS[::-1]
        for lr in rates
    }
    run_jobs(list(grid.values()))
    for arm in ARMS:
        scores = grids[f'{method} {arm}'] = {
            lr: scores_of(grid[arm, lr], args.images, True, source)['linear']
            for lr in rates
        }
        for seed in range(args.seeds):
            seeds[arm, seed] = job(
                method,
                arm,
                best_rate(scores),
                seed,
                {stop: args.images, **common},
                work_dir,
            )
    run_jobs(list(seeds.values())[::-1])  # longest first
    for (arm, seed), run in seeds.items():
        rows.append(
            dict(
                method=method,
                distill=arm,
                seed=seed,
                command=shlex.join(['python', *sys.argv]),
                **scores_of(run, args.images, False, source),
            )
        )
    return rows


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    out, rows, grids = Path(args.out_dir), [], {}
    out.mkdir(parents=True, exist_ok=True)
    source = row_source()  # 'dirty' before this run writes files
    for method in args.methods:
        rows += run_method(method, args, grids, source)
        report = markdown(rows, grids, args.images, args.epochs)
        write_text(out / 'testbeds.csv', csv_text(rows, COLUMNS))
        write_text(out / 'testbeds.md', report)
        draw_testbeds(statistics(rows), out / 'testbeds.png')
    print(report)


if __name__ == '__main__':
    with one_line_errors():
        main()
