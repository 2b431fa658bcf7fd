"""A DisCo step on the MoCo-v2 testbed: plain, exact, auto, and the bare sum.

`plain` is the step as in the literature, written out below: eager, fp32, teacher
in train mode, separate passes, concatenated logits. `plain_eval` has the teacher
in eval mode, so that the BN mode does not count as a speed-up. `exact` and `auto`
are the steps of tools/train.py with that --speed; `stored` is `auto` with stored
embeddings in place of the teacher. `bare_…` are only the necessary forward and
backward passes, with the same precision and compiler. Weights are random, which does
not change the time.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mmdisco.datasets.stored.store import FORMAT, HEADER
from mmdisco.experiments.figures import draw_steps
from mmdisco.experiments.stats import write_json
from mmdisco.experiments.timing import (
    DEVICE,
    STUDENTS,
    Variant,
    config,
    fast_model,
    peak_memory,
    print_steps,
    take_turns,
    two_views,
)
from mmdisco.launch import one_line_errors
from mmdisco.launch.smoke import save_random
from mmdisco.models.disco import build as build_part

Step = Callable[[], float | None]  # the loss, if computed


def plain(cfg: Config, batch_size: int, size: int, train_mode: bool) -> Step:
    """The step as in the literature."""
    ssl, frozen = cfg.model.ssl, cfg.model.teacher
    student, teacher = (
        nn.Sequential(
            build_part(part.backbone, 'backbone'), build_part(part.neck, 'neck')
        )
        for part in (ssl, frozen)
    )
    student, teacher = student.to(DEVICE).train(), teacher.to(DEVICE)
    teacher.train(train_mode)
    momentum_encoder = deepcopy(student)
    queue = F.normalize(torch.randn(128, ssl.queue_len, device=DEVICE), dim=0)
    optimizer = torch.optim.SGD(
        student.parameters(), 0.03, momentum=0.9, weight_decay=1e-4
    )
    query_view, key_view = (v.float() / 255 for v in two_views(batch_size, size))
    pointer = 0

    def embed(encoder: nn.Module, view: Tensor) -> Tensor:
        return F.normalize(encoder(view)[0], dim=1)  # [N, 128]

    def step() -> float:
        nonlocal pointer
        query = embed(student, query_view)
        with torch.no_grad():
            for old, new in zip(momentum_encoder.parameters(), student.parameters()):
                old.data = old.data * 0.999 + new.data * 0.001
            order = torch.randperm(batch_size, device=DEVICE)
            key = embed(momentum_encoder, key_view[order])[order.argsort()]
            targets = embed(teacher, query_view), embed(teacher, key_view)
        positive = torch.einsum('nc,nc->n', query, key)[:, None]  # [N, 1]
        negative = torch.einsum('nc,ck->nk', query, queue.clone())  # [N, K]
        logits = torch.cat([positive, negative], 1) / 0.2
        loss = F.cross_entropy(
            logits, torch.zeros(batch_size, dtype=torch.long, device=DEVICE)
        )
        for embedding, target in zip((query, embed(student, key_view)), targets):
            loss = (
                loss + 32 * F.mse_loss(embedding, target, reduction='sum') / batch_size
            )
        queue[:, pointer : pointer + batch_size] = key.T
        pointer = (pointer + batch_size) % ssl.queue_len
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def fast(cfg: Config, batch_size: int, size: int, level: str) -> Step:
    """The step of tools/train.py, from uint8 views to updated weights."""
    model = fast_model(cfg, level)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    views = two_views(batch_size, size)

    def step() -> float:
        data = dict(inputs=list(views), data_samples=[])
        return model.train_step(data, wrapper)['loss'].item()

    return step


def bare(
    cfg: Config, batch_size: int, size: int, level: str, teacher: bool = True
) -> Step:
    """The necessary passes, without loss, queue, average and optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        if not teacher:
            use_stored(cfg, Path(folder))
        model = fast_model(cfg, level)
    half = cfg.optim_wrapper.type == 'BF16OptimWrapper'
    views = [v.float() / 255 for v in two_views(batch_size, size)]
    both = torch.cat(views)  # [2N, 3, H, W]

    def step() -> None:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=half):
            embeds = [model.neck(model.backbone(v))[0] for v in views]
            with torch.no_grad():
                model.ssl.encoder_k(views[1])
        if teacher:
            model.teacher(both)
        for part in model.ssl.parameters():
            part.grad = None
        torch.cat(embeds).float().sum().backward()

    return step


def use_stored(cfg: Config, folder: Path) -> None:
    """Take embeddings of 128 numbers that come with the images for the teacher's."""
    header = dict(
        format=FORMAT,
        teacher=dict(width=128, file='random.pth', sha256='', own_normalisation=True),
        images={},
    )
    (folder / HEADER).write_text(json.dumps(header))
    cfg.model.teacher = dict(type='StoredTeacher', store=str(folder), views=[0, 1])


def stored(cfg: Config, batch_size: int, size: int, level: str) -> Step:
    """The step of tools/train.py with stored embeddings."""
    with tempfile.TemporaryDirectory() as folder:
        use_stored(cfg, Path(folder))
        model = fast_model(cfg, level)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    views = two_views(batch_size, size)
    embeds = torch.randn(batch_size, 2, 128, device=DEVICE)

    def step() -> float:
        data = dict(inputs=list(views), data_samples=embeds)
        return model.train_step(data, wrapper)['loss'].item()

    return step


def bare_student(cfg: Config, batch_size: int, size: int, level: str) -> Step:
    """The necessary passes of a step without the teacher."""
    return bare(cfg, batch_size, size, level, teacher=False)


def build(
    kind: Callable,
    option: object,
    student: str,
    teacher: str,
    batch_size: int,
    size: int,
    queue_len: int,
) -> Step:
    """A timed step of one kind, with networks and queue of these sizes."""
    return kind(config(student, teacher, queue_len), batch_size, size, option)


VARIANTS = dict(
    plain=(plain, True),
    plain_eval=(plain, False),
    exact=(fast, 'exact'),
    auto=(fast, 'auto'),
    bare_exact=(bare, 'exact'),
    bare_auto=(bare, 'auto'),
    stored=(stored, 'auto'),
    bare_stored=(bare_student, 'auto'),
)


# one process each: variants with the same process settings
GROUPS = (
    ('plain', 'plain_eval'),
    ('exact', 'bare_exact'),
    ('auto', 'bare_auto', 'stored', 'bare_stored'),
)


def measure(
    variants: dict[str, Variant],
    groups: Sequence[Sequence[str]],
    rounds: int,
    budget: float,
) -> dict[str, dict]:
    """Peak memory of each variant, then seconds in turns."""
    peaks, start = {}, time.monotonic()
    for name, variant in variants.items():
        peaks[name] = peak_memory(name, variant)
        print(f'{name}: peak memory {peaks[name]:.0f} MiB', flush=True)
    times = take_turns(
        [
            {name: variants[name] for name in group if name in variants}
            for group in groups
            if {*group} & {*variants}
        ],
        rounds,
        budget - (time.monotonic() - start),
    )
    return {
        name: dict(seconds=row['seconds'], peak_memory_mib=peaks[name], all=row['all'])
        for name, row in times.items()
    }


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--student', default='mbv3', choices=STUDENTS)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument(
        '--budget', type=float, default=630, help='seconds, after which no round starts'
    )
    parser.add_argument(
        '--variants', nargs='+', default=list(VARIANTS), choices=VARIANTS
    )
    parser.add_argument('--json', help='file to write, and a PNG next to it')
    parser.add_argument(
        '--profile', metavar='FILE', help='write a Chrome trace of an auto step instead'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        teacher = str(Path(folder, 'random.pth'))
        shape = (args.student, teacher, args.batch_size, args.size, args.queue_len)
        cfg = config(args.student, teacher, args.queue_len)
        save_random(cfg.model.teacher, Path(teacher))
        if args.profile:
            step = build(*VARIANTS['auto'], *shape)
            step()
            with torch.profiler.profile() as profile:
                step()
            profile.export_chrome_trace(args.profile)
            return
        variants = {name: (build, (*VARIANTS[name], *shape)) for name in args.variants}
        rows = measure(variants, GROUPS, args.rounds, args.budget)
    base = 'plain' if 'plain' in rows else next(iter(rows))
    print_steps(rows, base)
    if args.json:
        path = Path(args.json)
        write_json(
            path,
            dict(
                **rows,
                student=args.student,
                teacher='r50',
                size=args.size,
                batch_size=args.batch_size,
                queue_len=args.queue_len,
                device=DEVICE,
            ),
        )
        draw_steps(rows, args.student, path.with_suffix('.png'), base)


if __name__ == '__main__':
    with one_line_errors():
        main()
