"""Find the nearest neighbours of each training image in the teacher's space.

Features are the pooled output of the teacher's backbone, as in BINGO's release.
Each image is embedded once, with the evaluation's transform; similarity is the
cosine. The file is an int32 array, [images, neighbours].
"""

import argparse
import time

import numpy as np
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmdisco.errors import InputError
from mmdisco.evaluation.features.bags import make_bags
from mmdisco.launch import apply_overrides, one_line_errors, read_config
from mmdisco.utils import atomic_write


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a DisCo config, for its images and its teacher')
    parser.add_argument('--out', required=True, help='.npy file to write')
    parser.add_argument(
        '--neighbours', type=int, default=5, help='per image; default: 5'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=256,
        help='images per forward pass; default: 256',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for name in ('neighbours', 'batch_size'):
        if getattr(args, name) < 1:
            raise InputError(f'--{name.replace("_", "-")} must be at least 1')
    began = time.time()
    cfg = read_config(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    apply_overrides(cfg, args.cfg_options)
    with atomic_write(args.out) as half:
        half.touch()  # fail early if it can't be written
        bags = make_bags(cfg, args.neighbours, args.batch_size)
        with half.open('wb') as file:
            np.save(file, bags.cpu().numpy().astype(np.int32))
    print(
        f'{args.out}: {len(bags)} images, {args.neighbours} neighbours '
        f'each, {time.time() - began:.0f} s'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
