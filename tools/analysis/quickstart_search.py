"""Learning rate and hidden width of both quickstart students.

Both have the same grid. They train on the first 8000 bundled training images and
are scored by the linear probe on the other 2000; test images are not read.
Finished runs are kept: start the tool again to continue.
"""

import argparse
from itertools import product
from pathlib import Path

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.experiments.jobs import Job, run_jobs
from mmdisco.experiments.quickstart import load_backbone, score
from mmdisco.experiments.stats import write_json
from mmdisco.launch import one_line_errors, read_config

TRAINED = 8000
PREFIX = dict(mocov2='model.', disco='model.ssl.')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--lr', type=float, nargs='+', default=[0.03, 0.06, 0.12, 0.24])
    parser.add_argument('--hidden', type=int, nargs='+', default=[64, 512])
    parser.add_argument('--kinds', nargs='+', default=['disco', 'mocov2'])
    parser.add_argument(
        '--seed',
        type=int,
        default=100,
        help='not one of the reported seeds; default: 100',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='*',
        default=[],
        help='config options of all runs, as key=value',
    )
    parser.add_argument('--work-dir', default='work_dirs/quickstart_search')
    parser.add_argument('--out', default='work_dirs/quickstart_search.json')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    common = dict(option.split('=', 1) for option in args.cfg_options)
    jobs = {}
    for kind, lr, hidden in product(args.kinds, args.lr, args.hidden):
        name = f'{kind}_lr{lr:g}_h{hidden}'
        jobs[name] = Job(
            name,
            f'configs/quickstart/{kind}.py',
            Path(args.work_dir, name),
            {
                'randomness.seed': args.seed,
                'train_dataloader.dataset.stop': TRAINED,
                'optim_wrapper.optimizer.lr': lr,
                f'{PREFIX[kind]}neck.hid_channels': hidden,
                **common,
            },
        )
    run_jobs(list(jobs.values()))

    cfg = read_config('configs/quickstart/disco.py')
    dataset = cfg.train_dataloader.dataset
    train = DATASETS.build(dict(dataset, stop=TRAINED))
    held_out = DATASETS.build(dict(dataset, start=TRAINED))
    preprocessor = MODELS.build(cfg.data_preprocessor)
    results = {}
    for name, job in jobs.items():
        backbone = load_backbone(cfg.model.ssl.backbone, job.checkpoint)
        results[name] = score(backbone, preprocessor, train, held_out)
        print(
            f'{name:<24} kNN {results[name]["knn"]:.2f}  '
            f'linear probe {results[name]["linear"]:.2f}',
            flush=True,
        )
    write_json(args.out, dict(results=results, seed=args.seed))


if __name__ == '__main__':
    with one_line_errors():
        main()
