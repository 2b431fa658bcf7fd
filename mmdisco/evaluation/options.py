"""What the tools of tools/eval have in common."""
import argparse
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.dist import is_main_process, master_only

from mmdisco.converters import ARCHS
from mmdisco.deploy.save import written_whole
from mmdisco.launch import init_processes
from .cache import Features
from .encoder import open_encoder
from .extract import extract_split
from .sources import Source, check_pair, open_source
from .views import DEFAULTS, Crop


class Prepared(NamedTuple):
    """What a protocol works on."""
    train: Features
    test: Features
    device: str
    about: dict  # of model and data, for the report


def eval_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all tools share."""
    parser = argparse.ArgumentParser(description=description)
    add_model(parser)
    parser.add_argument(
        '--data', required=True, help='folder of train and val images: class '
        "folders, LMDB or tar files; CIFAR's; or IDX files")
    add_images(parser)
    parser.add_argument('--features', help='folder of the kept features. '
                        'Default: by what they are, in work_dirs/features')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument('--out', help='report to write, JSON. Default: by the '
                        'model, in work_dirs/eval')
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Options of :func:`open_encoder` and the launcher's."""
    parser.add_argument(
        'model', help='checkpoint of any layout that is known, name of a '
        'model, or config of mmpretrain or of a pre-training')
    parser.add_argument('--checkpoint', help='weights of a config, or of a '
                        'model that is named')
    parser.add_argument('--arch', metavar='ARCH', help='network of a '
                        f"checkpoint that does not tell: {', '.join(ARCHS)}")
    parser.add_argument('--mean', type=float, nargs=3, metavar=('R', 'G', 'B'),
                        help='of the channels, 0 to 255. Default: of the '
                        "checkpoint's config, else ImageNet's")
    parser.add_argument('--std', type=float, nargs=3, metavar=('R', 'G', 'B'))
    parser.add_argument('--launcher', default='none',
                        choices=['none', 'pytorch', 'slurm'])
    # torch.distributed.launch passes --local-rank
    parser.add_argument('--local_rank', '--local-rank', type=int,
                        help=argparse.SUPPRESS)


def add_images(parser: argparse.ArgumentParser) -> None:
    """Options of :class:`Crop` and of the extraction."""
    parser.add_argument('--resize', type=int, help='pixels of the shorter '
                        "edge. Default: 256, of CIFAR 224, of IDX files none")
    parser.add_argument('--crop', type=int, help='pixels of the square in the '
                        'middle. Default: 224, of IDX files none')
    parser.add_argument('--interpolation', choices=['bilinear', 'bicubic'],
                        help='default: bilinear, of CIFAR bicubic')
    parser.add_argument('--dtype', choices=['float32', 'float16'],
                        default='float32', help='of kept features')
    parser.add_argument('--batch-size', type=int, default=256,
                        help='images at once; default: 256')
    parser.add_argument('--workers', type=int, help='processes that read '
                        'images. Default: as many as cores')


def crop_of(args: argparse.Namespace, kind: str) -> Crop:
    """How images of this kind are cut, with what the user says."""
    told = {key: getattr(args, key)
            for key in ('resize', 'crop', 'interpolation')
            if getattr(args, key) is not None}
    told.setdefault('scale', getattr(args, 'scale', Crop().scale))
    crop = DEFAULTS.get(kind, Crop())
    if crop.resize is None and {'resize', 'crop'} & told.keys():
        size = told.get('crop', told.get('resize'))
        crop = crop._replace(resize=size, crop=size)
    return crop._replace(**told)


def encoder_of(args: argparse.Namespace):
    """The network on the device of this process."""
    init_processes(args.launcher)
    normalisation = (args.mean, args.std) if args.mean and args.std else None
    encoder = open_encoder(args.model, args.checkpoint, args.arch,
                           normalisation)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return encoder.to(device), device


def prepare(args: argparse.Namespace, views: int = 0) -> Prepared:
    """Features of both splits, extracted or found.

    Args:
        args (Namespace): Of :func:`eval_parser`.
        views (int): Random views of the training images. Defaults to 0.
    """
    sources = [open_source(args.data, split) for split in ('train', 'test')]
    check_pair(*sources)
    encoder, device = encoder_of(args)
    found = []
    for source, number in zip(sources, (views, 0)):
        crop = crop_of(args, source.kind)
        folder = _folder(args, encoder.sha256, source, crop, number)
        before = (folder / 'header.json').is_file()
        features = extract_split(
            encoder, source, crop, folder, number, args.seed, args.dtype,
            args.batch_size, args.workers)
        found.append(features)
        say(f'{source.split}: {len(source)} images of {len(source.classes)} '
            f'classes, {features.plain.shape[1]}-d features '
            f"{'found in' if before else 'written to'} {folder}")
    about = dict(
        model=args.model, sha256=encoder.sha256, data=args.data,
        images=[len(source) for source in sources],
        classes=sources[0].classes,
        transform=list(crop_of(args, sources[0].kind)),
        normalisation=list(encoder.normalisation), views=views,
        seed=args.seed)
    return Prepared(*found, device, about)


def _folder(args: argparse.Namespace, sha256: str, source: Source,
            crop: Crop, views: int) -> Path:
    if args.features:
        return Path(args.features, source.split)
    told = [sha256, source.fingerprint(), list(crop), views, args.seed,
            args.dtype, args.mean, args.std, args.arch]
    name = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
    return Path('work_dirs', 'features', f'{stem(args)}-{name}', source.split)


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
    return Path(args.out or Path('work_dirs', 'eval', stem(args),
                                 f'{tool}.json'))


def report(args: argparse.Namespace, tool: str, result: dict,
           summary: str) -> None:
    """Write a report, then print the summary, the last line."""
    path = report_path(args, tool)
    if is_main_process():
        with written_whole(path) as half:
            half.write_text(json.dumps(
                dict(summary=summary, **result), indent=1) + '\n')
    say(f'report: {path}')
    say(summary)
