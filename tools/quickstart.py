"""The main experiment on real images: teacher, student alone, student with DisCo.

Trains all networks, evaluates them and shows the results. Start it again to
continue an interrupted run.
"""

import argparse
import sys
from pathlib import Path

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from mmdisco.errors import InputError, MissingFileError
from mmdisco.experiments.jobs import Job, run_jobs
from mmdisco.experiments.quickstart import (
    evaluate,
    summarise,
    untrained_teacher,
    write_summary,
)
from mmdisco.launch import one_line_errors, read_config

CONFIGS = Path('configs/quickstart')
BUNDLED = Path('demo/teacher/quickstart_r18w32.pth')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--seeds',
        type=int,
        default=1,
        help='number of seeds of the students; default: 1',
    )
    parser.add_argument(
        '--teacher',
        choices=['bundled', 'scratch'],
        default='bundled',
        help='use the bundled teacher, or train it from scratch',
    )
    parser.add_argument(
        '--full-data',
        default='/usr/share/datasets/fashion-mnist',
        help="folder of Fashion-MNIST's 60 000 training images (default: that "
        "of Debian's package dataset-fashion-mnist), needed by --teacher scratch "
        'and by the row of the student alone on all of them',
    )
    parser.add_argument('--work-dir', default='work_dirs/quickstart')
    return parser.parse_args()


def images_of(folder: Path) -> list:
    """The training images of a folder of IDX files; empty if it has none."""
    try:
        return DATASETS.build(dict(type='IDXImages', data_root=str(folder)))
    except InputError as error:
        print(f"skip the student on the teacher's images: {error}")
        return []


def plan(seeds: int, work_dir: Path, teacher: Path, full: Path) -> list:
    """Jobs of the students, the long ones first."""
    untrained = untrained_teacher(CONFIGS / 'disco.py', work_dir)
    kinds = dict(
        disco=('disco', {'model.teacher.checkpoint': str(teacher)}),
        distill_only=(
            'disco',
            {'model.teacher.checkpoint': str(teacher), 'model.ssl_weight': 0.0},
        ),
        disco_untrained_teacher=('disco', {'model.teacher.checkpoint': str(untrained)}),
        mocov2=('mocov2', {}),
    )
    if len(images_of(full)) == 60000:  # as many steps on the teacher's images
        kinds['mocov2_teachers_images'] = ('mocov2_60k', {'data_root': str(full)})
    return [
        Job(
            f'{kind} seed {seed}',
            str(CONFIGS / f'{config}.py'),
            work_dir / kind / f'seed{seed}',
            {'randomness.seed': seed, **options},
        )
        for kind, (config, options) in kinds.items()
        for seed in range(seeds)
    ]


def train_teacher(work_dir: Path, full: Path) -> tuple:
    """Train the teacher; return its file and the seconds it took."""
    if not full.is_dir():
        raise MissingFileError(
            f"the teacher trains on all 60 000 images, and '{full}' does not "
            'exist: apt-get install dataset-fashion-mnist, or set FULL_DATA to '
            'the folder of the images'
        )
    config = str(CONFIGS / 'teacher.py')
    job = Job('teacher', config, work_dir / 'teacher', {'data_root': str(full)})
    run_jobs([job])
    return job.checkpoint, job.seconds()


def main() -> None:
    args = parse_args()
    if args.seeds < 1:
        raise InputError('--seeds must be at least 1')
    init_default_scope('mmpretrain')
    work_dir, full = Path(args.work_dir), Path(args.full_data)
    teacher, seconds = BUNDLED, 0.0
    if args.teacher == 'scratch':
        teacher, seconds = train_teacher(work_dir, full)
    jobs = plan(args.seeds, work_dir, teacher, full)
    run_jobs(jobs)

    cfg = read_config(str(CONFIGS / 'disco.py'))
    train = DATASETS.build(cfg.train_dataloader.dataset)
    test = DATASETS.build(dict(cfg.train_dataloader.dataset, split='test'))
    results = evaluate(cfg, jobs, teacher, train, test, seconds)
    write_summary(summarise(results, args.seeds), jobs, work_dir)


if __name__ == '__main__':
    with one_line_errors():
        sys.exit(main())
