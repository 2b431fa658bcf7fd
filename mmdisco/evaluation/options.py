"""Options that the tools of tools/eval share."""

import argparse

from mmdisco.checkpoints import ARCHS
from mmdisco.datasets.decode import WHITE


def whole(text: str) -> int:
    """A number from 1, of an option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1")
    return int(text)


def count(text: str) -> int:
    """A number from 0, of an option."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0")
    return int(text)


def colour(text: str) -> int:
    """A channel of 8 bits, of an option."""
    if not text.isdecimal() or int(text) > 255:
        raise argparse.ArgumentTypeError(f"'{text}' is not from 0 to 255")
    return int(text)


def not_negative(text: str) -> float:
    """A number from 0 that need not be whole, of an option."""
    return 0.0 if text.strip('0') in ('', '.') else positive(text)


def share(text: str) -> float:
    """A number between 0 and 1, of an option."""
    number = positive(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not below 1")
    return number


def positive(text: str) -> float:
    """A number above 0, of an option."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return number


def eval_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all tools share."""
    parser = argparse.ArgumentParser(description=description)
    add_model(parser)
    parser.add_argument(
        '--data',
        required=True,
        help='folder of train and val images: class '
        "folders, LMDB or tar files; CIFAR's; or IDX files",
    )
    add_images(parser)
    parser.add_argument(
        '--features',
        help='folder of the kept features. '
        'Default: by what they are, in work_dirs/features',
    )
    parser.add_argument('--seed', type=count, default=0, help='default: 0')
    parser.add_argument(
        '--out', help='report to write, JSON. Default: by the model, in work_dirs/eval'
    )
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Options of :func:`open_encoder` and the launcher's."""
    parser.add_argument(
        'model',
        help='checkpoint of any layout that is known, name of a '
        'model, or config of mmpretrain or of a pre-training',
    )
    parser.add_argument(
        '--checkpoint', help='weights of a config, or of a model that is named'
    )
    parser.add_argument(
        '--arch',
        metavar='ARCH',
        help=f'network of a checkpoint that does not tell: {", ".join(ARCHS)}',
    )
    parser.add_argument(
        '--mean',
        type=float,
        nargs=3,
        metavar=('R', 'G', 'B'),
        help='of the channels, 0 to 255. Default: of the '
        "checkpoint's config, else ImageNet's",
    )
    parser.add_argument(
        '--std',
        type=positive,
        nargs=3,
        metavar=('R', 'G', 'B'),
        help='their deviations',
    )
    parser.add_argument(
        '--launcher', default='none', choices=['none', 'pytorch', 'slurm']
    )
    # torch.distributed.launch passes --local-rank
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Options of :class:`Crop` and of the extraction."""
    parser.add_argument(
        '--resize',
        type=whole,
        help='pixels of the shorter '
        'edge. Default: 256, of CIFAR 224, of IDX files none',
    )
    parser.add_argument(
        '--crop',
        type=whole,
        help='pixels of the square in the middle. Default: 224, of IDX files none',
    )
    parser.add_argument(
        '--interpolation',
        choices=['bilinear', 'bicubic'],
        help='default: bilinear, of CIFAR bicubic',
    )
    parser.add_argument(
        '--background',
        type=colour,
        nargs=3,
        default=WHITE,
        metavar=('R', 'G', 'B'),
        help='below what is transparent, 0 to 255. Default: white',
    )
    parser.add_argument(
        '--dtype',
        choices=['float32', 'float16'],
        default='float32',
        help='of kept features',
    )
    parser.add_argument(
        '--batch-size', type=whole, default=256, help='images at once; default: 256'
    )
    parser.add_argument(
        '--workers',
        type=count,
        help='processes that read images. Default: as many as cores',
    )
