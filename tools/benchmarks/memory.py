"""Peak memory of a DisCo step by batch size, and the size of a checkpoint.

Each number is measured in a separate process. A checkpoint contains student,
momentum encoder, both necks, queue and optimizer, but no teacher; its size is
compared with their sum.
"""

import argparse
import io
import tempfile
from pathlib import Path

import torch
from mmengine.optim import build_optim_wrapper
from train_step import VARIANTS, build

from mmdisco.experiments.figures import draw_curves
from mmdisco.experiments.stats import write_json
from mmdisco.experiments.timing import (
    STUDENTS,
    config,
    fast_model,
    peak_memory,
    two_views,
)
from mmdisco.launch import one_line_errors
from mmdisco.launch.smoke import save_random


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--student', default='mbv3', choices=STUDENTS)
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[8, 16, 32])
    parser.add_argument(
        '--variants', nargs='+', choices=VARIANTS, default=['plain', 'exact', 'auto']
    )
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--json', help='file to write, and a PNG next to it')
    return parser.parse_args()


def saved_mib(value: object) -> float:
    """Size of a value as torch saves it."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.tell() / 2**20


def checkpoint_mib(student: str, teacher: str, queue_len: int) -> dict[str, float]:
    """Size of a checkpoint after a step, and of its parts."""
    cfg = config(student, teacher, queue_len)
    model = fast_model(cfg, 'off')
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    model.train_step(dict(inputs=two_views(4, 64), data_samples=[]), wrapper)
    ssl = model.ssl
    parts = dict(
        student=ssl.backbone.state_dict(),
        neck=ssl.neck.state_dict(),
        momentum_encoder=ssl.encoder_k.state_dict(),
        queue=ssl.queue,
        optimizer=wrapper.optimizer.state_dict(),
    )
    sizes = {name: saved_mib(part) for name, part in parts.items()}
    whole = saved_mib(
        dict(state_dict=model.state_dict(), optimizer=wrapper.state_dict())
    )
    return dict(sizes, checkpoint=whole, ratio=whole / sum(sizes.values()))


def main() -> None:
    args = parse_args()
    peaks: dict[str, dict[int, float]] = {name: {} for name in args.variants}
    with tempfile.TemporaryDirectory() as folder:
        teacher = str(Path(folder, 'random.pth'))
        cfg = config(args.student, teacher, args.queue_len)
        save_random(cfg.model.teacher, Path(teacher))
        sizes = checkpoint_mib(args.student, teacher, args.queue_len)
        print(
            'checkpoint, MiB: '
            + '  '.join(f'{name} {size:.2f}' for name, size in sizes.items())
        )
        for batch in args.batch_sizes:
            for name in args.variants:
                peaks[name][batch] = peak_memory(
                    name,
                    (
                        build,
                        (
                            *VARIANTS[name],
                            args.student,
                            teacher,
                            batch,
                            args.size,
                            args.queue_len,
                        ),
                    ),
                )
                print(
                    f'batch {batch:4d}  {name:<10} {peaks[name][batch]:7.0f} MiB',
                    flush=True,
                )
    if args.json:
        path = Path(args.json)
        write_json(
            path,
            dict(
                checkpoint_mib=sizes,
                peak_memory_mib=peaks,
                student=args.student,
                size=args.size,
                queue_len=args.queue_len,
            ),
        )
        draw_curves({'batch size': peaks}, 'peak memory, MiB', path.with_suffix('.png'))


if __name__ == '__main__':
    with one_line_errors():
        main()
