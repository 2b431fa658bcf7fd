"""Cost of linear evaluation by training, and on cached features.

tools/train.py embeds each image in each epoch, tools/eval/linear.py once.
`command_seconds` is the time of the whole command, about five seconds of it for
imports; `seconds` that of the steps, or of extraction and steps.
First without augmentation, where both solve the same problem, then with random
crops: new ones in each epoch, or a few cached ones.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from mmengine.config import Config
from PIL import Image

from mmdisco.evaluation.sources import open_source
from mmdisco.experiments.jobs import Job
from mmdisco.experiments.stats import provenance
from mmdisco.launch import one_line_errors, read_config

ROOT = Path(__file__).resolve().parents[2]
SCALE = 0.7  # minimum share of the image in a crop, as in the quickstart


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('checkpoint', help="checkpoint of the quickstart's student")
    parser.add_argument('--data', default='demo/fashion_mnist')
    parser.add_argument(
        '--rate',
        type=float,
        default=0.3,
        help='learning rate of SGD for 256 images; default: .3',
    )
    parser.add_argument('--epochs', type=int, default=100)
    parser.add_argument(
        '--views', type=int, default=8, help='cached random crops; default: 8'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/linear_cost'))
    parser.add_argument('--out', type=Path, default=Path('benchmarks/linear_cost.json'))
    return parser.parse_args()


def write_folder(data: str, folder: Path) -> None:
    """Write the images into class folders."""
    for split, name in (('train', 'train'), ('test', 'val')):
        source = open_source(data, split)
        for label, _ in enumerate(source.classes):
            (folder / name / str(label)).mkdir(parents=True, exist_ok=True)
        for i, label in enumerate(source.labels.tolist()):
            path = folder / name / str(label) / f'{i:06d}.png'
            if not path.is_file():
                source[i].save(path)


def config_of(args: argparse.Namespace, folder: Path, crops: bool) -> Config:
    """Config of the linear evaluation of the student on a folder."""
    cfg = read_config(str(ROOT / 'configs/benchmarks/linear_r18.py'))
    demo = read_config(str(ROOT / 'configs/quickstart/mocov2.py'))
    side = Image.open(next(folder.rglob('*.png'))).size[0]
    cfg.model.backbone = demo.model.backbone
    cfg.model.head.update(num_classes=10, in_channels=32, topk=(1,))
    cfg.data_preprocessor.update(
        num_classes=10, mean=demo.data_preprocessor.mean, std=demo.data_preprocessor.std
    )
    load, pack = cfg.train_pipeline[0], cfg.train_pipeline[-1]
    train = (
        [
            dict(cfg.train_pipeline[1], scale=side, crop_ratio_range=(SCALE, 1.0)),
            cfg.train_pipeline[2],
        ]
        if crops
        else []
    )
    for loader, pipeline in (
        (cfg.train_dataloader, [load, *train, pack]),
        (cfg.val_dataloader, [load, pack]),
    ):
        loader.update(batch_size=256, num_workers=2)
        loader.dataset.update(data_root=str(folder), num_classes=10, pipeline=pipeline)
    cfg.train_dataloader.sampler.seed = 0  # the order of tools/eval/linear.py
    cfg.test_dataloader = cfg.val_dataloader
    cfg.val_evaluator = cfg.test_evaluator = dict(type='Accuracy', topk=(1,))
    cfg.optim_wrapper.optimizer.lr = args.rate
    cfg.train_cfg.update(max_epochs=args.epochs, val_interval=args.epochs)
    cfg.param_scheduler[0].milestones = [
        round(share * args.epochs) for share in (0.6, 0.8)
    ]
    return cfg


def timed(command: list[str]) -> float:
    """Run a command and return its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, '-W', 'ignore', *map(str, command)], check=True)
    return time.perf_counter() - start


def trained(args: argparse.Namespace, folder: Path, crops: bool) -> dict:
    """Score and seconds of tools/train.py."""
    work_dir = args.work_dir / ('crops' if crops else 'plain')
    work_dir.mkdir(parents=True, exist_ok=True)
    config = args.work_dir / f'{work_dir.name}.py'
    config_of(args, folder, crops).dump(config)
    seconds = timed(
        [
            ROOT / 'tools/train.py',
            config,
            '--student',
            args.checkpoint,
            '--work-dir',
            work_dir,
        ]
    )
    scores = json.loads((work_dir / 'scores.json').read_text())
    steps = Job('', str(config), work_dir).seconds()
    return dict(command_seconds=seconds, seconds=steps, top1=scores['last']['score'])


def kept(args: argparse.Namespace, folder: Path, views: int) -> dict:
    """Score and seconds of tools/eval/linear.py with an empty cache."""
    out = args.work_dir / f'kept_{views}' / 'linear.json'
    fresh = args.work_dir / f'features_{views}_{time.time():.0f}'
    seconds = timed(
        [
            ROOT / 'tools/eval/linear.py',
            args.checkpoint,
            '--data',
            folder,
            '--resize',
            28,
            '--crop',
            28,
            '--by',
            'sgd',
            '--rates',
            args.rate,
            '--epochs',
            args.epochs,
            '--milestones',
            *(round(share * args.epochs) for share in (0.6, 0.8)),
            '--views',
            views,
            '--scale',
            SCALE,
            '--features',
            fresh,
            '--out',
            out,
        ]
    )
    report = json.loads(out.read_text())
    return dict(
        command_seconds=seconds,
        seconds=report['seconds_of_features'] + report['sgd']['seconds'],
        top1=report['sgd']['top1'],
    )


def main() -> None:
    args = parse_args()
    folder = args.work_dir / 'images'
    write_folder(args.data, folder)
    results = dict(
        trained=trained(args, folder, False),
        kept=kept(args, folder, 0),
        trained_on_crops=trained(args, folder, True),
        kept_views=kept(args, folder, args.views),
    )
    ratio, command_ratio = (
        results['trained'][key] / results['kept'][key]
        for key in ('seconds', 'command_seconds')
    )
    args.out.write_text(
        json.dumps(
            dict(
                **provenance(),
                epochs=args.epochs,
                rate=args.rate,
                views=args.views,
                **results,
                ratio=ratio,
                command_ratio=command_ratio,
            ),
            indent=1,
        )
        + '\n'
    )
    for name, score in results.items():
        print(
            f'{name}: {score["top1"]:.2f} %, {score["seconds"]:.1f} s, the '
            f'command {score["command_seconds"]:.1f} s'
        )
    print(
        f'{args.out}: cached features are {ratio:.1f} times as fast, the '
        f'command {command_ratio:.1f} times'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
