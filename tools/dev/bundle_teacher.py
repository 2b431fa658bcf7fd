"""Write the bundled teacher of the quickstart.

Its weights are in half precision, its metadata has the command, commit, machine,
training time and scores.
"""

import argparse
from pathlib import Path

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.checkpoints import read_conversion, save_weights, sha256_of
from mmdisco.experiments.jobs import Job
from mmdisco.experiments.quickstart import load_backbone, score
from mmdisco.experiments.stats import provenance
from mmdisco.launch import one_line_errors, read_config

CONFIG = 'configs/quickstart/teacher.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', help=f'folder of a finished run of {CONFIG}')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--commit', required=True, help='commit of the run')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    job = Job('teacher', CONFIG, Path(args.work_dir))
    cfg = read_config(CONFIG)
    images = len(DATASETS.build(cfg.train_dataloader.dataset))
    demo = read_config('configs/quickstart/disco.py')
    splits = [
        DATASETS.build(dict(demo.train_dataloader.dataset, split=split))
        for split in ('train', 'test')
    ]
    figures = score(
        load_backbone(cfg.model.backbone, job.checkpoint),
        MODELS.build(cfg.data_preprocessor),
        *splits,
    )
    meta = dict(
        command=f'python tools/train.py {CONFIG}',
        source_sha256=sha256_of(str(job.checkpoint)),
        seconds=job.seconds(),
        seed=cfg.randomness.seed,
        images=images,
        figures=figures,
        **dict(provenance(), commit=args.commit),
    )
    state_dict = {
        key: value.half() if value.is_floating_point() else value
        for key, value in read_conversion(str(job.checkpoint)).state_dict.items()
    }
    save_weights(args.out, state_dict, meta=meta)
    print(args.out, meta)


if __name__ == '__main__':
    with one_line_errors():
        main()
