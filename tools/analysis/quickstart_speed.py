"""Accuracy of the quickstart's DisCo student under --speed auto and exact.

Trains each seed with both settings, scores them on the 10 000 test images and
reports differences paired by seed. Finished runs are kept.
"""

import argparse
from itertools import product
from pathlib import Path

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.experiments.jobs import Job, run_jobs
from mmdisco.experiments.quickstart import load_backbone, score
from mmdisco.experiments.stats import paired, write_json
from mmdisco.launch import one_line_errors, read_config

CONFIG = 'configs/quickstart/disco.py'
LEVELS = ('auto', 'exact')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--work-dir', default='work_dirs/quickstart_speed')
    parser.add_argument('--json', default='work_dirs/quickstart_speed.json')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    jobs = {
        (level, seed): Job(
            f'{level} seed {seed}',
            CONFIG,
            Path(args.work_dir, f'{level}_seed{seed}'),
            {'randomness.seed': seed},
            speed=level,
        )
        for seed, level in product(range(args.seeds), LEVELS)
    }
    run_jobs(list(jobs.values()))

    cfg = read_config(CONFIG)
    dataset = cfg.train_dataloader.dataset
    train, test = (
        DATASETS.build(dict(dataset, split=split)) for split in ('train', 'test')
    )
    preprocessor = MODELS.build(cfg.data_preprocessor)
    scores = {level: [] for level in LEVELS}
    for (level, _), job in jobs.items():
        backbone = load_backbone(cfg.model.ssl.backbone, job.checkpoint)
        scores[level].append(score(backbone, preprocessor, train, test))
        row = scores[level][-1]
        print(
            f'{job.name}: kNN {row["knn"]:.2f}  linear probe {row["linear"]:.2f}',
            flush=True,
        )
    difference = {
        key: paired(*([row[key] for row in scores[level]] for level in LEVELS))
        for key in ('knn', 'linear')
    }
    for key, value in difference.items():
        error = value['standard_error'] or float('nan')
        print(
            f'auto - exact, {key}: mean {value["mean"]:+.2f} ± {error:.2f} '
            '(standard error)'
        )
    write_json(args.json, dict(scores=scores, auto_minus_exact=difference))


if __name__ == '__main__':
    with one_line_errors():
        main()
