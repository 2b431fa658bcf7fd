"""Students without labels from a teacher with published weights, on clip art.

The teacher is EfficientNet-Lite2 as published, trained with ImageNet's labels. The
pictures are those of Debian's package openclipart-png, as an unlabelled folder. All
runs see the same stored views, which the teacher embeds once. Each method has four
short runs, which the labelled pictures outside of the test choose from by kNN; the
best setting is trained with each seed and scored once on the test pictures. Finished
runs are kept: start the tool again to continue.
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
from mmdisco.experiments.picture_tables import COLUMNS, UNTRAINED, draw, markdown
from mmdisco.experiments.pictures import (
    ARMS,
    SIZE,
    SOURCE,
    STUDENT,
    Arm,
    Pictures,
    build_teacher,
    describe,
    job,
    prepare,
    read_pictures,
    score,
    scores_of,
    store_views,
)
from mmdisco.experiments.quickstart import load_backbone
from mmdisco.experiments.stats import csv_text, row_source, write_text
from mmdisco.launch import one_line_errors
from mmdisco.utils import available_cores

SEARCH_SEED = 100


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [arm.name for arm in ARMS]
    parser.add_argument('--arms', nargs='+', default=names, choices=names)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--epochs', type=int, default=40)
    parser.add_argument(
        '--search-epochs', type=int, default=4, help='epochs of the short runs'
    )
    parser.add_argument('--source', default=SOURCE, help='folder of the pictures')
    parser.add_argument('--work-dir', default='work_dirs/pictures')
    parser.add_argument('--out-dir', default='benchmarks')
    args = parser.parse_args()
    if min(args.seeds, args.epochs, args.search_epochs) < 1:
        raise InputError('--seeds, --epochs and --search-epochs must be 1 or more')
    return args


def references(
    pictures: Pictures, seeds: int, source: dict, folder: Path
) -> list[dict]:
    """Scores of the teacher and of untrained students, cached in a folder."""
    sizes = (SIZE, pictures.images.shape[2])
    todo = [(f'teacher, {size} pixels', size, 0) for size in sizes]
    todo += [(UNTRAINED, SIZE, seed) for seed in range(seeds)]
    rows = []
    for method, size, seed in todo:
        path = folder / f'{method.replace(" ", "_")}_{seed}.json'
        if not path.is_file():
            network = (
                load_backbone(STUDENT, None, seed)
                if method == UNTRAINED
                else build_teacher()
            )
            values = dict(score(network, pictures, size), **source)
            write_text(path, json.dumps(values))
        row = dict(json.loads(path.read_text()), method=method, seed=seed)
        shown = f'knn {row["knn"]:.2f}, linear {row["linear"]:.2f}'
        print(f'[{method}, seed {seed}] {shown}', flush=True)
        rows.append(row)
    return rows


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
    print(
        f'{len(pictures.train)} unlabelled pictures, {len(pictures.fit)} labelled '
        f'ones, {len(pictures.test)} to score',
        flush=True,
    )
    rows = references(pictures, args.seeds, source, work_dir)
    store_views(pictures, work_dir)

    def runs_of(arm: Arm, setting: dict, seed: int, epochs: int):
        return job(arm, setting, seed, epochs, work_dir)

    arms = [arm for arm in ARMS if arm.name in args.arms]
    grid = [
        (arm, setting, runs_of(arm, setting, SEARCH_SEED, args.search_epochs))
        for arm in arms
        for setting in arm.settings()
    ]
    run_jobs([run for *_, run in grid])
    tuned: dict[str, list[tuple[dict, float]]] = {}
    for arm, setting, run in grid:
        values = scores_of(run, pictures, False, source)
        tuned.setdefault(arm.name, []).append((setting, values['held_out']))
    for seed in range(args.seeds):
        todo = []
        for arm in arms:
            setting = max(tuned[arm.name], key=lambda pair: pair[1])[0]
            todo.append((arm, setting, runs_of(arm, setting, seed, args.epochs)))
        # one view first: whoever waits for a first result gets it sooner
        run_jobs(
            [
                run
                for *_, run in sorted(todo, key=lambda part: part[0].config == 'disco')
            ]
        )
        for arm, setting, run in todo:
            rows.append(
                dict(
                    method=arm.name,
                    setting=describe(setting),
                    seed=seed,
                    **scores_of(run, pictures, True, source),
                )
            )
        write_text(work_dir / 'pictures.csv', csv_text(rows, COLUMNS))
    report = markdown(rows, tuned, pictures, args.epochs, args.search_epochs)
    write_text(out / 'pictures.csv', csv_text(rows, COLUMNS))
    write_text(out / 'pictures.md', report)
    draw(rows, out / 'pictures.png')
    print(report)


if __name__ == '__main__':
    with one_line_errors():
        main()
