"""Images per second by batch size, queue length and number of processes.

Batch sizes and queue lengths are timed in turns, each in its own process. For the
number of processes, the ranks of one run share this machine (gloo without a GPU):
on a CPU they share its cores, so that two show the cost of communication.
"""

import argparse
import os
import socket
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from train_step import build, fast

from mmdisco.engine.runner import buffer_options
from mmdisco.errors import InputError
from mmdisco.experiments.figures import draw_curves
from mmdisco.experiments.stats import write_json
from mmdisco.experiments.timing import (
    DEVICE,
    STUDENTS,
    config,
    fast_model,
    take_turns,
    two_views,
)
from mmdisco.launch import one_line_errors
from mmdisco.launch.smoke import save_random
from mmdisco.utils import available_cores


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--student', default='mbv3', choices=STUDENTS)
    parser.add_argument('--speed', default='exact', choices=['exact', 'auto'])
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[8, 16, 32])
    parser.add_argument(
        '--queue-lens', type=int, nargs='+', default=[1024, 16384, 65536]
    )
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', help='file to write, and a PNG next to it')
    return parser.parse_args()


def rank_main(
    rank: int,
    world_size: int,
    port: int,
    args: argparse.Namespace,
    teacher: str,
    results: mp.SimpleQueue,
) -> None:
    """Steps of one rank; rank 0 puts the seconds of each into the queue."""
    os.environ.update(LOCAL_RANK=str(rank))
    torch.set_num_threads(max(available_cores() // world_size, 1))
    if DEVICE == 'cuda':
        torch.cuda.set_device(rank)
    dist.init_process_group(
        'nccl' if DEVICE == 'cuda' else 'gloo',
        f'tcp://127.0.0.1:{port}',
        rank=rank,
        world_size=world_size,
    )
    cfg = config(args.student, teacher, args.queue_lens[-1])
    model = MMDistributedDataParallel(
        fast_model(cfg, args.speed),
        **buffer_options(),
        device_ids=[rank] if DEVICE == 'cuda' else None,
        static_graph=True,
        gradient_as_bucket_view=True,
    )
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    views = two_views(args.batch_sizes[-1] // world_size, args.size)
    for turn in range(args.rounds + 2):
        dist.barrier()
        start = time.perf_counter()
        model.train_step(dict(inputs=list(views), data_samples=[]), wrapper)[
            'loss'
        ].item()
        dist.barrier()
        if rank == 0 and turn > 1:
            results.put(time.perf_counter() - start)
    dist.destroy_process_group()


def of_processes(num: int, args: argparse.Namespace, teacher: str) -> float:
    """Median seconds of a step of the largest batch, split over the ranks."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    results = mp.get_context('spawn').SimpleQueue()
    mp.spawn(rank_main, (num, port, args, teacher, results), nprocs=num)
    return median(results.get() for _ in range(args.rounds))


def main() -> None:
    args = parse_args()
    batch, queue = args.batch_sizes[-1], args.queue_lens[-1]
    if any(batch % num for num in args.processes):
        raise InputError(
            f'--processes {args.processes}: each must divide the batch of {batch}'
        )
    rates: dict[str, dict[int, float]] = {
        name: {} for name in ('batch size', 'queue length', 'processes')
    }
    with tempfile.TemporaryDirectory() as folder:
        teacher = str(Path(folder, 'random.pth'))
        save_random(config(args.student, teacher, queue).model.teacher, Path(teacher))

        def variant(batch, queue):
            return build, (
                fast,
                args.speed,
                args.student,
                teacher,
                batch,
                args.size,
                queue,
            )

        for name, values, shapes in (
            ('batch size', args.batch_sizes, [(b, queue) for b in args.batch_sizes]),
            ('queue length', args.queue_lens, [(batch, q) for q in args.queue_lens]),
        ):
            # one process each: they would share compiled code
            rows = take_turns(
                [{str(v): variant(*shape)} for v, shape in zip(values, shapes)],
                args.rounds,
            )
            for value, shape in zip(values, shapes):
                rates[name][value] = shape[0] / rows[str(value)]['seconds']
        for num in args.processes:
            rates['processes'][num] = batch / of_processes(num, args, teacher)
    for name, curve in rates.items():
        for value, rate in curve.items():
            print(f'{name} {value:6d}: {rate:6.2f} images/s')
    if args.json:
        path = Path(args.json)
        write_json(
            path,
            dict(
                images_per_s=rates,
                student=args.student,
                speed=args.speed,
                size=args.size,
                device=DEVICE,
            ),
        )
        draw_curves(
            {name: {args.speed: curve} for name, curve in rates.items()},
            'images per second',
            path.with_suffix('.png'),
        )


if __name__ == '__main__':
    with one_line_errors():
        main()
