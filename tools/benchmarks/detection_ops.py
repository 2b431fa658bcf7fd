"""A detector's training step with mmcv's compiled ops and with torchvision's.

Both copies of each detector start from the same random weights and see the same
random boxes; they take turns, step by step. Prints the median time of each, the
median of the paired ratios, and the largest difference of their losses. Needs
compiled ops: run 'make ops' first.
"""

import argparse
import sys
import time
from copy import deepcopy
from pathlib import Path
from statistics import median

import torch

from mmdisco.detection.ops import has_compiled_ops, stand_in  # isort: skip
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from rich.progress import track

from mmdisco.errors import InputError
from mmdisco.experiments.stats import write_json
from mmdisco.experiments.timing import DEVICE
from mmdisco.launch import one_line_errors, read_config
from mmdisco.paths import configs_root
from mmdisco.utils import quiet_init

CONFIGS = (
    'detection/coco/faster-rcnn_r18-fpn_1x.py',
    'detection/coco/mask-rcnn_r18-c4_180k.py',
    'detection/coco/retinanet_r18-fpn_1x.py',
    'detection/coco/rtmdet_r18_300e.py',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--configs', nargs='+', default=CONFIGS, help='below configs/')
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument(
        '--size', type=int, nargs=2, default=(128, 192), metavar=('H', 'W')
    )
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--json', help='write times, losses and versions here')
    return parser.parse_args()


class Detector:
    """A detector that trains with one implementation of the ops."""

    def __init__(self, model, optim_wrapper, ops) -> None:
        self.model = deepcopy(model).train()
        self.optim_wrapper = build_optim_wrapper(self.model, optim_wrapper)
        self.ops = ops
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def step(self, data: dict, seed: int) -> None:
        """Train for one step, timed."""
        for name in ('nms', 'roi_align', 'focal_loss'):
            sys.modules[f'mmcv.ops.{name}'].ext_module = self.ops
        torch.manual_seed(seed)  # the heads sample boxes
        self._synchronize()
        start = time.perf_counter()
        log = self.model.train_step(deepcopy(data), self.optim_wrapper)
        self._synchronize()
        self.seconds.append(time.perf_counter() - start)
        self.losses.append(float(log['loss']))

    def _synchronize(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()


def compare(config: str, batch_size: int, size: tuple[int, int], rounds: int) -> dict:
    """Times and losses of a detector with both implementations."""
    cfg = read_config(str(configs_root() / config))
    torch.manual_seed(0)
    with quiet_init():
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        model.init_weights()
    model.to(DEVICE)
    compiled = sys.modules['mmcv._ext']
    detectors = dict(
        compiled=Detector(model, cfg.optim_wrapper, compiled),
        torchvision=Detector(model, cfg.optim_wrapper, stand_in()),
    )
    data = demo_mm_inputs(
        batch_size,
        (3, *size),
        num_items=[8] * batch_size,
        num_classes=80,
        with_mask='mask' in config,
        device=DEVICE,
    )
    for turn in track(range(rounds + 1), config, transient=True):
        for detector in detectors.values():
            detector.step(data, turn)
    # the first step of each warms up
    times = {name: detector.seconds[1:] for name, detector in detectors.items()}
    losses = [detector.losses for detector in detectors.values()]
    return dict(
        times,
        ratio=median(x / y for x, y in zip(*times.values(), strict=True)),
        loss_difference=max(abs(x - y) for x, y in zip(*losses, strict=True)),
    )


def main() -> None:
    args = parse_args()
    if not has_compiled_ops():
        raise InputError("mmcv has no compiled ops to compare with: run 'make ops'")
    init_default_scope('mmdet')
    rows = {}
    for config in args.configs:
        row = compare(config, args.batch_size, tuple(args.size), args.rounds)
        rows[config] = row
        print(
            f'{config}: compiled {median(row["compiled"]):.3f} s, torchvision '
            f'{median(row["torchvision"]):.3f} s, ratio {row["ratio"]:.3f}, losses '
            f'differ by at most {row["loss_difference"]:.1e}',
            flush=True,
        )
    if args.json:
        write_json(
            Path(args.json),
            dict(rows=rows, batch_size=args.batch_size, size=args.size),
        )


if __name__ == '__main__':
    with one_line_errors():
        main()
