"""Command-line options of the tools in tools/eval, and the settings they give."""

import argparse
from pathlib import Path

from mmdisco.checkpoints import ARCHS
from mmdisco.datasets.decode import WHITE
from mmdisco.errors import InputError
from .session import Settings


def positive_int(text: str) -> int:
    """Parse an integer option >= 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer >= 1")
    return int(text)


def non_negative_int(text: str) -> int:
    """Parse an integer option >= 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer >= 0")
    return int(text)


def uint8(text: str) -> int:
    """Parse an integer option from 0 to 255."""
    if not text.isdecimal() or int(text) > 255:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer from 0 to 255")
    return int(text)


def positive_float(text: str) -> float:
    """Parse a finite option > 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number > 0")
    return number


def non_negative_float(text: str) -> float:
    """Parse a finite option >= 0."""
    return 0.0 if text.strip('0') in ('', '.') else positive_float(text)


def fraction(text: str) -> float:
    """Parse an option > 0 and < 1."""
    number = positive_float(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not below 1")
    return number


def eval_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all tools share."""
    parser = argparse.ArgumentParser(description=description)
    add_model(parser)
    parser.add_argument(
        '--data',
        required=True,
        help='folder of train and val images: class folders, LMDB, tar shards, '
        'CIFAR or IDX files',
    )
    add_images(parser)
    parser.add_argument(
        '--features',
        help='folder of the cached features; default: by content, in '
        'work_dirs/features',
    )
    parser.add_argument('--seed', type=non_negative_int, default=0, help='default: 0')
    parser.add_argument(
        '--out', help='JSON report to write; default: by model, in work_dirs/eval'
    )
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options of the model, and those of the launcher."""
    parser.add_argument(
        'model',
        help='checkpoint in any supported layout, name of a model, or config of '
        'mmpretrain or of a pre-training',
    )
    parser.add_argument('--checkpoint', help='weights of a config or of a named model')
    parser.add_argument(
        '--arch',
        metavar='ARCH',
        help=f'network of a checkpoint that does not name it: {", ".join(ARCHS)}; '
        'needed for a class of your own, as package.module:Class',
    )
    parser.add_argument(
        '--mean',
        type=float,
        nargs=3,
        metavar=('R', 'G', 'B'),
        help="means of the channels, 0 to 255; default: the model's, else ImageNet's",
    )
    parser.add_argument(
        '--std',
        type=positive_float,
        nargs=3,
        metavar=('R', 'G', 'B'),
        help='standard deviations of the channels',
    )
    parser.add_argument(
        '--launcher', default='none', choices=['none', 'pytorch', 'slurm']
    )
    # torch.distributed.launch passes --local-rank
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add the options of :class:`Crop` and of feature extraction."""
    parser.add_argument(
        '--resize',
        type=positive_int,
        help='shorter edge in pixels; default: 8/7 of the crop, CIFAR 224, IDX files '
        'unchanged',
    )
    parser.add_argument(
        '--crop',
        type=positive_int,
        help='central crop in pixels; default: that of the training, else 224; IDX '
        'files none',
    )
    parser.add_argument(
        '--interpolation',
        choices=['bilinear', 'bicubic'],
        help='default: bilinear, CIFAR bicubic',
    )
    parser.add_argument(
        '--background',
        type=uint8,
        nargs=3,
        default=WHITE,
        metavar=('R', 'G', 'B'),
        help='colour below transparent pixels, 0 to 255; default: white',
    )
    parser.add_argument(
        '--dtype',
        choices=['float32', 'float16'],
        default='float32',
        help='precision of cached features; default: float32',
    )
    parser.add_argument(
        '--batch-size',
        type=positive_int,
        default=256,
        help='images per forward pass; default: 256',
    )
    parser.add_argument(
        '--workers',
        type=non_negative_int,
        help='processes that load images; default: as many as cores',
    )


def settings_of(args: argparse.Namespace) -> Settings:
    """Resolve the settings of an evaluation from parsed options.

    Args:
        args (argparse.Namespace): Options of :func:`add_model` and
            :func:`add_images`; those of :func:`eval_parser`, ``views`` and
            ``scale`` are optional.

    Returns:
        Settings: Settings of the evaluation.

    Raises:
        InputError: If only one of mean and standard deviation is given.
    """
    if bool(args.mean) != bool(args.std):
        raise InputError('--mean and --std go together: give both')
    options = dict(vars(args))
    options['normalisation'] = (args.mean, args.std) if args.mean else None
    options['background'] = tuple(args.background)
    for key in ('features', 'out'):
        options[key] = Path(options[key]) if options.get(key) else None
    known = Settings.__dataclass_fields__
    return Settings(**{key: value for key, value in options.items() if key in known})
