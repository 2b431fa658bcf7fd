"""Cost of a DisCo step compared with a SEED step, and its explanation.

DisCo has a second view and a momentum encoder, SEED has neither. Steps are those
of tools/train.py with both configs; `passes_…` are only the forward and backward
passes that each method needs. All are timed in turns. Passes are counted during
a step. Weights are random, which does not change the time.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import Tensor, nn

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

VIEWS = dict(disco=2, seed=1)


def model_of(
    method: str, args: argparse.Namespace, teacher: str
) -> tuple[nn.Module, OptimWrapper, list[Tensor]]:
    """Model, optimizer and views of a method."""
    cfg = config(args.student, teacher, args.queue_len, method)
    model = fast_model(cfg, args.speed)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    return model, wrapper, two_views(args.batch_size, args.size)[: VIEWS[method]]


def step(method: str, args: argparse.Namespace, teacher: str) -> Callable:
    """A step of tools/train.py, from uint8 views to updated weights."""
    model, wrapper, views = model_of(method, args, teacher)
    return lambda: model.train_step(dict(inputs=list(views), data_samples=[]), wrapper)


def momentum_encoder(model: nn.Module) -> Callable[[Tensor], object]:
    """MoCo's momentum encoder, or a function that does nothing."""
    return getattr(model.ssl, 'encoder_k', lambda view: None)


def passes(method: str, args: argparse.Namespace, teacher: str) -> Callable:
    """The passes of a step, without loss, queue, average and optimizer."""
    model, _, views = model_of(method, args, teacher)
    views = [view.float() / 255 for view in views]
    both = torch.cat(views)  # [V * N, 3, H, W]

    def run() -> None:
        embeds = [model.neck(model.backbone(view))[0] for view in views]
        with torch.no_grad():
            momentum_encoder(model)(views[-1])
        model.teacher(both)
        for part in model.ssl.parameters():
            part.grad = None
        torch.cat(embeds).sum().backward()

    return run


def counted(method: str, args: argparse.Namespace, teacher: str) -> dict[str, float]:
    """Forward passes per image of a step, by network."""
    args = argparse.Namespace(**{**vars(args), 'speed': 'off'})
    model, wrapper, views = model_of(method, args, teacher)
    seen: Counter = Counter()
    networks = dict(student=model.backbone, teacher=model.teacher.backbone)
    if hasattr(model.ssl, 'encoder_k'):
        networks['momentum encoder'] = model.ssl.encoder_k.module[0]
    for name, network in networks.items():
        network.register_forward_hook(
            lambda _, inputs, __, name=name: seen.update({name: len(inputs[0])})
        )
    model.train_step(dict(inputs=list(views), data_samples=[]), wrapper)
    return {name: number / args.batch_size for name, number in seen.items()}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--student', default='r18', choices=STUDENTS)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--speed', default='off', choices=('off', 'exact'))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', help='file to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        teacher = str(Path(folder, 'random.pth'))
        save_random(
            config(args.student, teacher, args.queue_len).model.teacher, Path(teacher)
        )
        counts = {m: counted(m, args, teacher) for m in VIEWS}
        rows = take_turns(
            [
                {
                    m: (step, (m, args, teacher)),
                    f'passes_{m}': (passes, (m, args, teacher)),
                }
                for m in VIEWS
            ],
            args.rounds,
        )
    for name, row in rows.items():
        print(f'{name:<13} {row["seconds"]:7.3f} s')
    for method, passes_by_network in counts.items():
        print(
            f'{method}, forward passes per image: '
            + ', '.join(f'{name} {n:g}' for name, n in passes_by_network.items())
        )
    ratio, explained = (
        rows[f'{kind}disco']['seconds'] / rows[f'{kind}seed']['seconds']
        for kind in ('', 'passes_')
    )
    print(
        f'a step of DisCo takes {ratio:.2f} times as long as one of SEED; the passes '
        f'alone {explained:.2f}'
    )
    if args.json:
        write_json(
            args.json,
            dict(
                **rows,
                passes=counts,
                ratio=ratio,
                explained=explained,
                **vars(args),
                device=DEVICE,
            ),
        )


if __name__ == '__main__':
    with one_line_errors():
        main()
