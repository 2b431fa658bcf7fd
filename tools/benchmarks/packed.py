"""CPU time of loading two views of an image from a folder and from packed images.

Photographs of 500x375 are packed by ``mmdisco pack --size 320``. All variants draw
MoCo-v2's views of 224 pixels, by a data set in one process with one thread, and are
timed in turns, each over all images, so that a slow phase of the machine affects all
of them. The page cache holds the files, so the time of a disk is not in the figures.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from mmdisco.apis.packing import pack
from mmdisco.experiments.stats import write_json
from mmdisco.experiments.timing import write_photos
from mmdisco.launch import one_line_errors

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
BASE = "mmpretrain's pipeline, folder"
VARIANTS = {  # config and whether the images are packed
    BASE: ('imagenet_mocov2.py', False),
    "mmpretrain's pipeline, packed": ('imagenet_mocov2.py', True),
    'ours, all on the CPU, folder': ('imagenet_mocov2_fast.py', False),
    'ours, all on the CPU, packed': ('imagenet_mocov2_fast.py', True),
    'ours, the rest on the device, folder': ('imagenet_mocov2_device.py', False),
    'ours, the rest on the device, packed': ('imagenet_mocov2_device.py', True),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument(
        '--size', type=int, default=320, help='shorter side of the packed images'
    )
    parser.add_argument('--quality', type=int, default=90, help='of their JPEG')
    parser.add_argument('--json', help='file to write')
    return parser.parse_args()


def dataset_of(name: str, root: Path) -> Dataset:
    """The data set of a config, of a folder of photos."""
    config = Config.fromfile(CONFIGS / name).train_dataloader.dataset
    config.update(data_root=str(root), data_prefix='')
    return DATASETS.build(config)


def cpu_seconds(data: Dataset) -> float:
    """CPU seconds of an image, the mean over all."""
    start = time.process_time()
    for index in range(len(data)):
        data[index]
    return (time.process_time() - start) / len(data)


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, 'plain'), Path(folder, 'packed')
        plain.mkdir()
        write_photos(plain, args.images)
        with contextlib.redirect_stdout(io.StringIO()):
            pack(plain, packed, size=args.size, quality=args.quality, workers=0)
        megabytes = {
            root.name: sum(p.stat().st_size for p in root.iterdir()) / 1e6
            for root in (plain, packed)
        }
        data = {
            name: dataset_of(config, packed if is_packed else plain)
            for name, (config, is_packed) in VARIANTS.items()
        }
        times: dict[str, list[float]] = {name: [] for name in data}
        for turn in range(args.rounds + 1):
            for name, images in data.items():
                seconds = cpu_seconds(images)
                if turn:  # the first warms up
                    times[name].append(seconds)
    rows = {
        name: dict(
            cpu_seconds=median(each),
            images_per_cpu_second=1 / median(each),
            # of rounds, which a slow phase of the machine affects as a whole
            ratio=median(base / own for base, own in zip(times[BASE], each)),
            all=each,
        )
        for name, each in times.items()
    }
    for name, row in rows.items():
        print(
            f'{name:<37} {1000 * row["cpu_seconds"]:7.2f} ms  {row["ratio"]:6.2f}x '
            f'({min(b / t for b, t in zip(times[BASE], row["all"])):.2f} to '
            f'{max(b / t for b, t in zip(times[BASE], row["all"])):.2f})'
        )
    if args.json:
        write_json(
            args.json,
            dict(
                packed=rows,
                images=args.images,
                rounds=args.rounds,
                size=[500, 375],
                packed_size=args.size,
                quality=args.quality,
                megabytes=megabytes,
                threads=1,
            ),
        )


if __name__ == '__main__':
    with one_line_errors():
        main()
