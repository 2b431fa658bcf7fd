"""The main job on real images: teacher, student alone, student with DisCo.

Runs what is left to run, then evaluates everything and shows the result. An
interrupted run is simply started again.
"""
import argparse
from pathlib import Path

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from mmdisco.analysis import (
    evaluate,
    summarise,
    untrained_teacher,
    write_summary,
)
from mmdisco.launch import Job, one_line_errors, read_config, run_jobs

CONFIGS = Path('configs/quickstart')
BUNDLED = Path('demo/teacher/quickstart_r18w32.pth')
FULL = Path('/usr/share/datasets/fashion-mnist')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=1,
                        help='students of so many seeds; default: 1')
    parser.add_argument(
        '--teacher', choices=['bundled', 'scratch'], default='bundled',
        help='take the bundled teacher, or train it anew')
    parser.add_argument('--teacher-data', default=str(FULL),
                        help="folder of Fashion-MNIST's 60 000 images, for "
                        'the teacher from scratch')
    parser.add_argument('--work-dir', default='work_dirs/quickstart')
    return parser.parse_args()


def plan(seeds: int, work_dir: Path, teacher: Path) -> list:
    """Jobs of the students, the long ones first."""
    untrained = untrained_teacher(CONFIGS / 'disco.py', work_dir)
    kinds = dict(
        disco=('disco', {'model.teacher.checkpoint': str(teacher)}),
        distill_only=('disco', {'model.teacher.checkpoint': str(teacher),
                                'model.ssl_weight': 0.}),
        disco_untrained_teacher=('disco', {
            'model.teacher.checkpoint': str(untrained)}),
        mocov2=('mocov2', {}))
    return [
        Job(f'{kind} seed {seed}', str(CONFIGS / f'{config}.py'),
            work_dir / kind / f'seed{seed}',
            {'randomness.seed': seed, **options})
        for kind, (config, options) in kinds.items() for seed in range(seeds)
    ]


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    work_dir = Path(args.work_dir)
    teacher = BUNDLED
    if args.teacher == 'scratch':
        job = Job('teacher', str(CONFIGS / 'teacher.py'),
                  work_dir / 'teacher', {'data_root': args.teacher_data})
        run_jobs([job])
        teacher = job.checkpoint
    jobs = plan(args.seeds, work_dir, teacher)
    run_jobs(jobs)

    cfg = read_config(str(CONFIGS / 'disco.py'))
    train = DATASETS.build(cfg.train_dataloader.dataset)
    test = DATASETS.build(dict(cfg.train_dataloader.dataset, split='test'))
    results = evaluate(cfg, jobs, teacher, train, test)
    summary = summarise(results, args.seeds)
    write_summary(summary, jobs, work_dir)


if __name__ == '__main__':
    with one_line_errors():
        main()
