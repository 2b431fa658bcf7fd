"""Extract the student's backbone from a checkpoint.

mmpretrain and mmdet load the result with
init_cfg=dict(type='Pretrained', checkpoint=OUT, prefix='backbone.').
"""

import argparse

from mmdisco.checkpoints import extract_backbone
from mmdisco.launch import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument('out', help='file to write')
    parser.add_argument(
        '--momentum-encoder',
        action='store_true',
        help="extract the momentum encoder's backbone, as DINO evaluates it",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(extract_backbone(args.checkpoint, args.out, args.momentum_encoder))


if __name__ == '__main__':
    with one_line_errors():
        main()
