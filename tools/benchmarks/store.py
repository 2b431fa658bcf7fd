"""How many stored views are enough: students of a stored teacher, on clip art.

The testbed is that of pictures.py: the same pictures, teacher, student and scores. A
store holds the teacher's embeddings of MoCo-v2's views. Runs with 1, 2, 5 and 20 of
them are compared with live ones, which draw new views in each epoch and run the
teacher. Finished runs are kept: start the tool again to continue.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import torch
from mmengine.registry import init_default_scope

from mmdisco.errors import InputError
from mmdisco.experiments.jobs import run_jobs
from mmdisco.experiments.pictures import (
    ALONE,
    ARMS,
    LR,
    PHI_S,
    RATES,
    SOURCE,
    STANDARDIZE,
    prepare,
    read_pictures,
    scores_of,
)
from mmdisco.experiments.stats import csv_text, row_source, write_text
from mmdisco.experiments.stored import (
    COLUMNS,
    LIVE,
    NUMBERS,
    draw,
    job,
    live_config,
    markdown,
    megabytes,
    write_photos,
    write_store,
)
from mmdisco.launch import one_line_errors
from mmdisco.utils import available_cores


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [arm.name for arm in ARMS if arm.name != ALONE]
    parser.add_argument('--arms', nargs='+', default=['CoSS'], choices=names)
    parser.add_argument('--views', nargs='+', type=int, default=list(NUMBERS))
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--epochs', type=int, default=40)
    parser.add_argument(
        '--lr', type=float, default=RATES[-1], help='learning rate of all runs'
    )
    parser.add_argument(
        '--as-they-are',
        action='store_true',
        help="the teacher's embeddings without the standardiser",
    )
    parser.add_argument('--source', default=SOURCE, help='folder of the pictures')
    parser.add_argument('--work-dir', default='work_dirs/store')
    parser.add_argument('--out-dir', default='benchmarks')
    args = parser.parse_args()
    if min(args.seeds, args.epochs, *args.views) < 1:
        raise InputError('--seeds, --epochs and --views must be 1 or more')
    return args


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    torch.set_num_threads(available_cores())
    out, work_dir = Path(args.out_dir), Path(args.work_dir).absolute()
    for folder in (out, work_dir):
        folder.mkdir(parents=True, exist_ok=True)
    source = dict(row_source(), command=shlex.join(['python', *sys.argv]))
    prepare(Path(args.source), work_dir / 'pictures.npz')
    pictures = read_pictures(work_dir / 'pictures.npz')
    write_photos(pictures, work_dir / 'photos')
    setting = {LR: args.lr, STANDARDIZE: None if args.as_they_are else PHI_S}
    arms = [arm for arm in ARMS if arm.name in args.arms]
    configs = [live_config(arm, setting, args.epochs, work_dir) for arm in arms]
    store = write_store(configs[0], work_dir, max(args.views))
    seconds = json.loads((work_dir / 'store_seconds.json').read_text())
    rows = []
    for seed in range(args.seeds):
        todo = [
            (arm, views, job(cfg, arm, views, seed, store, work_dir))
            for arm, cfg in zip(arms, configs)
            for views in (LIVE, *args.views)
        ]
        run_jobs([run for *_, run in todo])
        for arm, views, run in todo:
            row = dict(
                method=arm.name,
                views=views,
                seed=seed,
                **scores_of(run, pictures, True, source),
                seconds=round(run.seconds(), 1),
            )
            if views != LIVE:
                row['store_seconds'] = round(seconds * views / store.num_views, 1)
                row['megabytes'] = round(megabytes(store, views), 1)
            rows.append(row)
        write_text(work_dir / 'store.csv', csv_text(rows, COLUMNS))
    report = markdown(rows, len(pictures.train), args.epochs)
    write_text(out / 'store.csv', csv_text(rows, COLUMNS))
    write_text(out / 'store.md', report)
    draw(rows, out / 'store.png')
    print(report)


if __name__ == '__main__':
    with one_line_errors():
        main()
