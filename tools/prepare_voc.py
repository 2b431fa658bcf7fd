"""Unpack VOC 2007 and 2012, if archives are given, and check what is there.

Each fault is one line; with any, the exit code is 1.
"""

import argparse
import sys
from pathlib import Path

from mmengine.registry import init_default_scope

from mmdisco.datasets.detection.verify import VOC_CLASSES, check_voc, unpack
from mmdisco.launch import one_line_errors, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--root',
        type=Path,
        default='data/VOCdevkit',
        help='folder of VOC2007 and VOC2012; default: data/VOCdevkit',
    )
    parser.add_argument(
        '--archives',
        nargs='+',
        type=Path,
        default=[],
        help='VOCtrainval_06-Nov-2007.tar, '
        'VOCtest_06-Nov-2007.tar and '
        'VOCtrainval_11-May-2012.tar, wherever they are',
    )
    parser.add_argument(
        '--counts',
        choices=['official', 'any'],
        default='official',
        help='numbers of images to expect; default: official',
    )
    needs = parser.add_mutually_exclusive_group()
    needs.add_argument(
        '--config',
        help='config of the detector that is to be '
        'trained, for the names of its classes',
    )
    needs.add_argument(
        '--classes',
        nargs='+',
        default=VOC_CLASSES,
        help="names of the classes; default: VOC's twenty",
    )
    parser.add_argument(
        '--images',
        action='store_true',
        help='open every image; without it, the headers of 200 of each split',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = args.classes
    if args.config:
        cfg = read_config(args.config)
        from mmdisco.detection import wanted_of  # which needs mmdet

        init_default_scope(cfg.get('default_scope', 'mmdet'))
        classes = wanted_of(cfg).classes
    for archive in args.archives:
        done = unpack(archive, args.root, inside='VOCdevkit')
        print(f'{archive}: {done.written} files unpacked into {args.root}')
        if done.left_out:
            print(
                f'{archive}: {len(done.left_out)} files left out, e.g. '
                f"'{done.left_out[0]}'"
            )
    report = check_voc(args.root, args.counts, classes, args.images)
    print('\n'.join(report.lines()))
    sys.exit(bool(report.faults))


if __name__ == '__main__':
    with one_line_errors():
        main()
