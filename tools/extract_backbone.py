"""Write the student's backbone alone, for whatever it is used for next.

mmpretrain and mmdet load it by
init_cfg=dict(type='Pretrained', checkpoint=OUT, prefix='backbone.').
"""
import argparse
import os
from pathlib import Path

import torch

from mmdisco import __version__
from mmdisco.converters import read_checkpoint, sha256_of
from mmdisco.errors import InputError
from mmdisco.launch import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint of a pre-training')
    parser.add_argument('out', help='file to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    backbone = {
        key: value
        for key, value in read_checkpoint(args.checkpoint).items()
        if key.startswith('backbone.')
    }
    meta = dict(
        source=Path(args.checkpoint).name,
        sha256=sha256_of(args.checkpoint),
        mmdisco_version=__version__)
    out = Path(args.out)
    if out.is_dir():
        raise InputError(f"'{out}' is a folder: name the file to write")
    out.parent.mkdir(parents=True, exist_ok=True)
    half = out.with_name(out.name + '.half')
    torch.save(dict(state_dict=backbone, meta=meta), half)
    os.replace(half, out)
    count = sum(v.numel() for v in backbone.values())
    print(f'{out}: {len(backbone)} tensors, {count:,} numbers, from '
          f"{meta['source']} (sha256 {meta['sha256'][:12]})")


if __name__ == '__main__':
    with one_line_errors():
        main()
