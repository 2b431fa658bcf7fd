"""Parameters, multiply-adds and activations of teachers and students.

Multiply-adds are those of the metafiles, by mmengine's FlopAnalyzer; memory is
counted on networks that have shapes alone, so it is that of any machine.
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
peak MiB: activations alive at once in that pass, fp32. saved MiB:
what a training step keeps per image for its backward pass, fp32."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        default=ARCHS,
        help=f'default: all of {", ".join(ARCHS)}',
    )
    parser.add_argument(
        '--size',
        type=image_size,
        default=224,
        help='height and width of images. Default: 224',
    )
    parser.add_argument('--json', type=Path, help='file to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # before anything is counted for a file that can't be written
    with atomic_write(args.json) if args.json else nullcontext() as half:
        content = report(args.names, args.size)
        if half:
            half.write_text(json.dumps(content, indent=1) + '\n')


def report(names: Sequence[str], size: int) -> dict:
    """Print everything, and give what the file holds."""
    print(HEAD)
    rows = []
    for name in names:
        rows.append(complexity(name, size))
        print(*table(rows[-1:]), flush=True)
    print(NOTE)
    print("\nEfficientNet-B0's parameters in per cent of a teacher's")
    compared, faults = ratios(), impossible()
    for r in compared:
        print(
            f'{r.teacher}: {r.printed} printed. {r.papers:.2f} if it has a '
            'linear layer to 128 and the teacher its classifier; '
            f'{r.backbones:.2f} of backbones, {r.classifiers:.2f} with '
            'classifiers'
        )
    print("\nWhere the paper's figures cannot be right", *faults, sep='\n')
    return dict(
        size=size,
        rows=[row._asdict() for row in rows],
        ratios=[r._asdict() for r in compared],
        impossible=faults,
        **provenance(),
    )


if __name__ == '__main__':
    # mmcv warns of what these networks have in their papers, too
    warnings.simplefilter('ignore', UserWarning)
    with one_line_errors():
        main()
