"""Parameters, multiply-adds and activations of teachers and students.

Multiply-adds are those of the metafiles, counted by mmengine's FlopAnalyzer.
Memory is counted on the device 'meta', so it is the same on every machine.
"""

import argparse
import json
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from mmdisco.checkpoints import ARCHS
from mmdisco.deploy.complexity import HEAD, complexity, table
from mmdisco.experiments.paper import impossible, ratios
from mmdisco.experiments.stats import provenance
from mmdisco.launch import one_line_errors
from mmdisco.models import image_size
from mmdisco.utils import atomic_write

NOTE = """
paper M: units of 2^20; teachers without fc, students with a linear layer to
128. G mult-add: forward pass of one image, with normalisation and pooling.
peak MiB: activations alive at the same time in that pass, fp32. saved MiB:
activations that a training step saves per image for the backward pass, fp32."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        default=ARCHS,
        help=f'networks; default: {", ".join(ARCHS)}',
    )
    parser.add_argument(
        '--size',
        type=image_size,
        default=224,
        help='height and width of the images; default: 224',
    )
    parser.add_argument('--json', type=Path, help='file to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # an unwritable file is an error before anything is counted
    with atomic_write(args.json) if args.json else nullcontext() as half:
        content = report(args.names, args.size)
        if half:
            half.write_text(json.dumps(content, indent=1) + '\n')


def report(names: Sequence[str], size: int) -> dict:
    """Print all numbers, and return the content of the file."""
    print(HEAD)
    rows = []
    for name in names:
        rows.append(complexity(name, size))
        print(*table(rows[-1:]), flush=True)
    print(NOTE)
    print("\nEfficientNet-B0's parameters, % of a teacher's")
    compared, faults = ratios(), impossible()
    for r in compared:
        print(
            f'{r.teacher}: {r.printed} printed. {r.papers:.2f} with a linear layer '
            'to 128, of a teacher with its classifier; backbones only: '
            f'{r.backbones:.2f}; both with classifiers: {r.classifiers:.2f}'
        )
    print('\nSizes in the paper that cannot be right', *faults, sep='\n')
    return dict(
        size=size,
        rows=[row._asdict() for row in rows],
        ratios=[r._asdict() for r in compared],
        impossible=faults,
        **provenance(),
    )


if __name__ == '__main__':
    # mmcv warns about settings that are those of the networks' papers
    warnings.simplefilter('ignore', UserWarning)
    with one_line_errors():
        main()
