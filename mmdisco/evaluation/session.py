"""What the tools of tools/eval do alike, before and after a protocol."""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.dist import is_main_process, master_only

from mmdisco.errors import InputError
from mmdisco.launch import init_processes
from mmdisco.utils import atomic_write
from .features.cache import Features
from .features.encoder import open_encoder
from .features.extract import extract_split, header_of
from .features.views import DEFAULTS, Crop
from .sources import Source, check_pair, copies, open_source
from .sources.source import spread


class Prepared(NamedTuple):
    """What a protocol works on."""

    train: Features
    test: Features
    device: str
    about: dict  # of model and data, for the report


def crop_of(args: argparse.Namespace, kind: str) -> Crop:
    """How images of this kind are cut, with what the user says."""
    told = {
        key: getattr(args, key)
        for key in ('resize', 'crop', 'interpolation')
        if getattr(args, key) is not None
    }
    told.setdefault('scale', getattr(args, 'scale', Crop().scale))
    crop = DEFAULTS.get(kind, Crop())
    if crop.resize is None and {'resize', 'crop'} & told.keys():
        size = told.get('crop', told.get('resize'))
        crop = crop._replace(resize=size, crop=size)
    if 'resize' not in told and crop.resize and told.get('crop'):
        told['resize'] = max(crop.resize, told['crop'])
    if 'crop' not in told and crop.crop and told.get('resize'):
        told['crop'] = min(crop.crop, told['resize'])
    return crop._replace(**told)


def encoder_of(args: argparse.Namespace):
    """The network on the device of this process."""
    if bool(args.mean) != bool(args.std):
        raise InputError('--mean and --std go together: give both')
    init_processes(args.launcher)
    normalisation = (args.mean, args.std) if args.mean else None
    encoder = open_encoder(args.model, args.checkpoint, args.arch, normalisation)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return encoder.to(device), device


def prepare(
    args: argparse.Namespace, check: Callable[[Source], object], views: int = 0
) -> Prepared:
    """Features of both splits, extracted or found.

    Args:
        args (Namespace): Of :func:`eval_parser`.
        check (Callable): Raises an :class:`InputError` if a protocol can't do
            with these training images, before any is embedded.
        views (int): Random views of the training images. Defaults to 0.

    Raises:
        InputError: If data, model or what is kept can't be used.
    """
    sources = [open_source(args.data, split) for split in ('train', 'test')]
    for source in sources:
        source.background = tuple(args.background)
    check_pair(*sources)
    check(sources[0])
    if args.out and Path(args.out).is_dir():
        raise InputError(f"'{args.out}' is a folder: name the report to write")
    encoder, device = encoder_of(args)
    found = []
    start = time.perf_counter()
    headers = [
        header_of(
            encoder, source, crop_of(args, source.kind), number, args.seed, args.dtype
        )
        for source, number in zip(sources, (views, 0))
    ]
    for source, number in zip(sources, (views, 0)):
        crop = crop_of(args, source.kind)
        folder = _folder(args, headers) / source.split
        before = (folder / 'header.json').is_file()
        features = extract_split(
            encoder,
            source,
            crop,
            folder,
            number,
            args.seed,
            args.dtype,
            args.batch_size,
            args.workers,
        )
        found.append(features)
        say(
            f'{source.split}: {len(source)} images of {len(source.classes)} '
            f'classes, {features.plain.shape[1]}-d features '
            f'{"found in" if before else "written to"} {folder}'
        )
    for note in _doubts(sources, found):
        say(f'warning: {note}')
    about = dict(
        model=args.model,
        sha256=encoder.sha256,
        data=args.data,
        images=[len(source) for source in sources],
        classes=sources[0].classes,
        transform=list(crop_of(args, sources[0].kind)),
        normalisation=list(encoder.normalisation),
        views=views,
        seed=args.seed,
        seconds_of_features=time.perf_counter() - start,
    )
    return Prepared(*found, device, about)


def _doubts(sources: list[Source], found: list[Features]) -> Iterator[str]:
    """What makes scores of these images doubtful."""
    number = copies(*sources)
    if number:
        yield (
            f'{number} of the test images (at most 64 were looked at) are '
            'training images, too: a score by them says little of other '
            'images'
        )
    num = len(sources[1])
    if num < 100:
        yield (f'there are {num} test images: each is {100 / num:.2g} % of a score')
    for source, features in zip(sources, found):
        some = features.plain[[*spread(len(source))]].float()  # [n, D]
        if len(some) > 1 and bool((some == some[0]).all()):
            yield (
                f'the features of the {source.split} images are all the '
                'same: check the checkpoint and --mean and --std'
            )


def _folder(args: argparse.Namespace, headers: list[dict]) -> Path:
    """Of both splits: named by all that their features depend on."""
    if args.features:
        return Path(args.features)
    told = [
        {key: header[key] for key in header if key not in ('model', 'root')}
        for header in headers
    ]
    name = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
    return Path('work_dirs', 'features', f'{stem(args)}-{name}')


def stem(args: argparse.Namespace) -> str:
    """What the model is called in the names of folders."""
    path = Path(args.model)
    return f'{path.parent.name}_{path.stem}' if path.parent.name else path.stem


@master_only
def say(line: str) -> None:
    """Print in one process."""
    print(line, flush=True)


def report_path(args: argparse.Namespace, tool: str) -> Path:
    """Where the report of a tool goes."""
    return Path(args.out or Path('work_dirs', 'eval', stem(args), f'{tool}.json'))


def report(args: argparse.Namespace, tool: str, result: dict, summary: str) -> None:
    """Write a report, then print the summary, the last line."""
    path = report_path(args, tool)
    if is_main_process():
        with atomic_write(path) as half:
            half.write_text(
                json.dumps(dict(summary=summary, **result), indent=1) + '\n'
            )
    say(f'report: {path}')
    say(summary)
