"""The quickstart's students as backbones of C4 detectors, against random ones.

After `python tools/quickstart.py --seeds 3`. Faster R-CNN on a set in VOC's
layout and Mask R-CNN on one in COCO's, garments in photographs, from random
weights, MoCo-v2's student and DisCo's, at equal iterations and at each of some
learning rates. What is done is kept: an interrupted run goes on when it is
started again.
"""
import argparse
import csv
import json
import shlex
from itertools import product
from pathlib import Path
from typing import Dict, List

from mmdisco.analysis import provenance
from mmdisco.analysis.detection_table import COLUMNS, INITS, draw, markdown
from mmdisco.datasets.pasted import make_set
from mmdisco.deploy.save import written_whole
from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import Job, one_line_errors, run_jobs, scalars

CONFIGS = 'configs/quickstart/detection'
# Detector, kind of its data, and what is told: AP and AP50 of its log.
DETECTORS = dict(
    faster=('faster-rcnn_c4', 'voc', {
        'Faster R-CNN C4, AP of VOC': ('pascal_voc/mAP', 'pascal_voc/AP50'),
        'Faster R-CNN C4, AP of COCO': ('coco/bbox_mAP', 'coco/bbox_mAP_50'),
    }),
    mask=('mask-rcnn_c4', 'coco', {
        'Mask R-CNN C4, boxes': ('coco/bbox_mAP', 'coco/bbox_mAP_50'),
        'Mask R-CNN C4, masks': ('coco/segm_mAP', 'coco/segm_mAP_50'),
    }))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--runs', type=Path,
                        default=Path('work_dirs/quickstart'),
                        help='folder of the students, STUDENT/seedN/epoch_*')
    parser.add_argument('--detectors', nargs='+', choices=DETECTORS,
                        default=list(DETECTORS))
    parser.add_argument('--inits', nargs='+', choices=INITS,
                        default=list(INITS))
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--lr', type=float, nargs='+', default=[.03, .01],
                        help='learning rates, each for all initialisations')
    parser.add_argument('--epochs', type=int, default=6)
    parser.add_argument('--train', type=int, default=2000, help='images')
    parser.add_argument('--test', type=int, default=400, help='images')
    parser.add_argument('--objects', type=Path,
                        default=Path('/usr/share/datasets/fashion-mnist'),
                        help="Fashion-MNIST's IDX files")
    parser.add_argument('--work-dir', type=Path,
                        default=Path('work_dirs/detection'))
    parser.add_argument('--out', type=Path,
                        default=Path('benchmarks/detection.csv'))
    return parser.parse_args()


def student_of(runs: Path, init: str, seed: int) -> str:
    """Checkpoint of an initialisation, or 'random'."""
    if init == 'random':
        return init
    files = [*(runs / init / f'seed{seed}').glob('epoch_*.pth')]
    if not files:
        raise MissingFileError(f"no student in '{runs}/{init}/seed{seed}': "
                               'run python tools/quickstart.py --seeds 3')
    return str(max(files, key=lambda p: int(p.stem.removeprefix('epoch_'))))


def scores(job: Job) -> Dict[str, float]:
    """The last evaluation that a run has logged.

    Raises:
        InputError: If it has logged none.
    """
    evaluations = [values for values in scalars(job.work_dir)
                   if any(key.endswith('mAP') for key in values)]
    if not evaluations:
        raise InputError(f"no evaluation is logged in '{job.work_dir}': "
                         'delete it, and start again')
    return evaluations[-1]


def data_of(args: argparse.Namespace, kind: str) -> Path:
    """Folder of the garments, made if it is not there.

    Raises:
        InputError: If it was made of other objects.
    """
    folder = args.work_dir / f'garments_{kind}_{args.train}_{args.test}'
    if not folder.is_dir():
        # not the seed of the set on which rates were tried
        make_set(folder, kind, args.train, args.test, args.objects, seed=1)
    made_of = json.loads((folder / 'set.json').read_text())['objects']
    if made_of['folder'] != str(args.objects):
        raise InputError(f"'{folder}' is made of the objects in "
                         f"'{made_of['folder']}', not '{args.objects}': "
                         'delete it, or name another --work-dir')
    return folder


def jobs_of(args: argparse.Namespace) -> Dict[tuple, Job]:
    """A job for each of all combinations; makes the data."""
    jobs = {}
    for lr, seed, name, init in product(
            args.lr, range(args.seeds), args.detectors, args.inits):
        config, kind, _ = DETECTORS[name]
        jobs[name, init, seed, lr] = Job(
            f'{name} {init} seed {seed} lr {lr:g}', f'{CONFIGS}/{config}.py',
            args.work_dir / f'{config}_{init}_seed{seed}_lr{lr:g}', {
                'custom_hooks.0.checkpoint': student_of(
                    args.runs, init, seed),
                'data_root': str(data_of(args, kind)),
                'optim_wrapper.optimizer.lr': lr,
                'train_cfg.max_epochs': args.epochs,
                'train_cfg.val_interval': args.epochs,
                'param_scheduler.1.T_max': args.epochs,
                'param_scheduler.1.end': args.epochs,
                'custom_hooks.3.interval': args.epochs,
                'randomness.seed': seed,
            })
    return jobs


def main() -> None:
    args = parse_args()
    about = provenance()
    jobs = jobs_of(args)
    run_jobs(list(jobs.values()))
    rows: List[dict] = []
    for (name, init, seed, lr), job in jobs.items():
        found = scores(job)
        options = [f'{key}={value}' for key, value in job.options.items()]
        for detector, keys in DETECTORS[name][2].items():
            rows.append(dict(
                detector=detector, lr=f'{lr:g}', init=init, seed=seed,
                # of one that finds nothing CocoMetric tells no AP
                **{column: f'{100 * found.get(key, 0.):.2f}'
                   for column, key in zip(('AP', 'AP50'), keys)},
                seconds=f'{job.seconds():.0f}',
                command=shlex.join([
                    'python', 'tools/train.py', job.config, '--cfg-options',
                    *options]),
                commit=about['commit'], machine=about['machine']['cpu']))
    rows.sort(key=lambda row: row['detector'])  # else as they were run
    with written_whole(args.out) as half, half.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    text = markdown(rows, (
        f'The quickstart\'s students, ResNets a sixteenth as wide, as '
        f'backbones of C4 detectors of garments in photographs: {args.train} '
        f'images of 128 pixels, {args.epochs} epochs in batches of 8, '
        f'{args.test} test images of other garments and photographs '
        f'(`{CONFIGS}/`).'))
    args.out.with_suffix('.md').write_text(text)
    draw(rows, args.out.with_suffix('.png'))
    print(text)


if __name__ == '__main__':
    with one_line_errors():
        main()
