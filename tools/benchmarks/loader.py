"""Images per second, two views each, that one core loads and augments.

Variants are timed in turns, each over all images, so that a slow phase of the
machine affects all of them. The part of the augmentation on the device is timed
separately, one batch at a time, and not included in any other number.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image, ImageFilter
from torchvision import transforms as T

from mmdisco.experiments.figures import draw_rates
from mmdisco.experiments.stats import write_json
from mmdisco.experiments.timing import write_photos
from mmdisco.launch import one_line_errors

DATASETS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
BASE = "mmpretrain's pipeline"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=16)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--json', help='file to write, and a PNG next to it')
    return parser.parse_args()


def as_released() -> Callable:
    """The pipeline of MoCo's code, with torchvision and PIL."""
    view = T.Compose(
        [
            T.RandomResizedCrop(224, scale=(0.2, 1.0)),
            T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            T.RandomGrayscale(p=0.2),
            T.RandomApply(
                [
                    lambda image: image.filter(
                        ImageFilter.GaussianBlur(np.random.uniform(0.1, 2.0))
                    )
                ],
                p=0.5,
            ),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    def run(path: str) -> list:
        image = Image.open(path).convert('RGB')
        return [view(image), view(image)]

    return run


def of_config(name: str) -> Callable:
    """The pipeline of a dataset config, up to the packed tensors."""
    cfg = Config.fromfile(DATASETS / name)
    pipeline = Compose(cfg.train_dataloader.dataset.pipeline)
    return lambda path: pipeline(dict(img_path=path))


def variants() -> dict[str, Callable]:
    """Ways to load an image, by name; each takes its path."""
    crops = Compose([dict(type='LoadCrops')])
    return {
        BASE: of_config('imagenet_mocov2.py'),
        'torchvision and PIL, as released': as_released(),
        'ours, all on the CPU': of_config('imagenet_mocov2_fast.py'),
        'ours, the rest on the device': of_config('imagenet_mocov2_device.py'),
        'decoding and two crops': lambda path: crops(dict(img_path=path)),
        'decoding': lambda path: np.asarray(Image.open(path).convert('RGB')),
    }


def seconds(function: Callable, argument: object) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


def device_part(batch_size: int, rounds: int) -> dict:
    """Seconds per batch of DeviceViews, with the copy to the device."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    cfg = Config.fromfile(DATASETS / 'imagenet_mocov2_device.py')
    views = MODELS.build(cfg.data_preprocessor).to(device)
    crops = torch.randint(0, 256, (batch_size, 3, 224, 224)).byte()

    def run(crops: torch.Tensor) -> None:
        views(dict(inputs=[crops, crops]), training=True)
        if device == 'cuda':
            torch.cuda.synchronize()

    run(crops)  # warm up
    times = [seconds(run, crops) for _ in range(rounds)]
    return dict(device=device, batch_size=batch_size, seconds=median(times), all=times)


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    functions = variants()
    times = {name: [] for name in functions}  # seconds per image, one per round
    with tempfile.TemporaryDirectory() as folder:
        paths = write_photos(Path(folder), args.images)
        for turn in range(args.rounds + 1):
            for name, function in functions.items():
                total = sum(seconds(function, path) for path in paths)
                if turn:  # the first warms up
                    times[name].append(total / args.images)
    base = median(times[BASE])
    rows = {
        name: dict(
            images_per_s=1 / median(t), ratio=base / median(t), seconds=median(t), all=t
        )
        for name, t in times.items()
    }
    for name, row in rows.items():
        print(f'{name:<34} {row["images_per_s"]:7.1f} images/s  {row["ratio"]:5.2f}x')
    device = device_part(args.batch_size, args.rounds)
    print(
        f'not included, on {device["device"]}: {device["seconds"]:.4f} s per batch of '
        f'{args.batch_size} images'
    )
    if args.json:
        path = Path(args.json)
        write_json(
            path,
            dict(
                loader=rows,
                device_part=device,
                images=args.images,
                threads=1,
                size=[500, 375],
            ),
        )
        draw_rates(
            rows, 'images (two views) per second, one core', path.with_suffix('.png')
        )


if __name__ == '__main__':
    with one_line_errors():
        main()
