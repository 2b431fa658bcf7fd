"""Forward passes of a frozen teacher, plain and optimised.

Variants are timed in turns, so that a slow phase of the machine affects all of
them. Weights are random, which does not change the time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from mmdisco.experiments.figures import draw_rates
from mmdisco.experiments.stats import write_json
from mmdisco.launch import one_line_errors, read_config
from mmdisco.launch.smoke import save_random
from mmdisco.zoo import teacher_config

VARIANTS = {
    'batch statistics, as released': dict(norm_mode='batch'),
    'plain': dict(),
    'channels last': dict(channels_last=True),
    'BN folded': dict(fuse=True),
    'folded, channels last': dict(fuse=True, channels_last=True),
    'folded, channels last, compiled': dict(
        fuse=True, channels_last=True, compile=True
    ),
    'folded, channels last, bf16': dict(fuse=True, channels_last=True, dtype='bf16'),
    'folded, channels last, bf16, compiled': dict(
        fuse=True, channels_last=True, dtype='bf16', compile=True
    ),
}


# without BN, the first three would only repeat others
WITH_BN = (
    'batch statistics, as released',
    'BN folded',
    'folded, channels last',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--config',
        default='configs/disco/r50_mbv3.py',
        help='DisCo config with the teacher to time',
    )
    parser.add_argument(
        '--teacher',
        help="teacher to time instead, e.g. 'dinov2_vits14' or 'timm:resnet50'",
    )
    parser.add_argument(
        '--cpu-time',
        action='store_true',
        help='CPU seconds of one thread, for a machine with other work',
    )
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', help='file to write, and a PNG next to it')
    return parser.parse_args()


def seconds(
    function: Callable,
    images: torch.Tensor,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of one call."""
    if images.is_cuda:
        torch.cuda.synchronize()
    start = clock()
    function(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return clock() - start


def gflops(teacher: torch.nn.Module, images: torch.Tensor) -> float:
    """Floating-point operations of a forward pass, in 10^9."""
    with FlopCounterMode(display=False) as counter:
        teacher(images)
    return counter.get_total_flops() / 1e9


def matmul_rate(device: str, size: int = 4096) -> float:
    """GFLOP/s of a large bf16 matrix product, the limit of the hardware."""
    a, b = torch.randn(2, size, size, device=device).bfloat16()
    a @ b  # warm up
    times = [seconds(lambda x: x @ b, a) for _ in range(7)]
    return 2 * size**3 / median(times) / 1e9


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    MMLogger.get_current_instance().setLevel('WARNING')
    if args.teacher:
        cfg = ConfigDict(teacher_config(args.teacher))
    else:
        cfg = read_config(args.config).model.teacher
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    clock = time.perf_counter
    if args.cpu_time:
        torch.set_num_threads(1)
        device, clock = 'cpu', time.process_time
    images = torch.randn(args.batch_size, 3, args.size, args.size, device=device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'random.pth')
        save_random(cfg, path)
        teachers = {
            name: MODELS.build(dict(cfg, checkpoint=str(path), **options))
            for name, options in VARIANTS.items()
        }
    if not any(isinstance(m, _BatchNorm) for m in teachers['plain'].modules()):
        teachers = {name: t for name, t in teachers.items() if name not in WITH_BN}
    times = {name: [] for name in teachers}
    for name, teacher in teachers.items():
        teacher.to(device)(images)  # warm up, rewrite and compare
        print(f'ready: {name}', flush=True)
    for _ in range(args.rounds):
        for name, teacher in teachers.items():
            times[name].append(seconds(teacher, images, clock))

    base = median(times[next(iter(times))])  # as released, or plain without BN
    rows = {
        name: dict(
            seconds=median(t),
            images_per_s=args.batch_size / median(t),
            ratio=base / median(t),
            all=t,
        )
        for name, t in times.items()
    }
    for name, row in rows.items():
        print(
            f'{name:<40} {row["seconds"]:7.3f} s  '
            f'{row["images_per_s"]:7.1f} images/s  {row["ratio"]:5.2f}x'
        )
    work, best = gflops(teachers['plain'], images), matmul_rate(device)
    fastest = min(row['seconds'] for row in rows.values())
    print(
        f'{work:.0f} GFLOP per batch, at most {work / fastest:.0f} GFLOP/s; a bf16 '
        f'matrix product reaches {best:.0f}'
    )
    if args.json:
        path = Path(args.json)
        write_json(
            path,
            dict(
                teacher=rows,
                gflop=work,
                matmul_bf16_gflops=best,
                config=None if args.teacher else args.config,
                teacher_name=args.teacher,
                batch_size=args.batch_size,
                size=args.size,
                device=device,
            ),
        )
        draw_rates(rows, 'images per second', path.with_suffix('.png'))


if __name__ == '__main__':
    with one_line_errors():
        main()
