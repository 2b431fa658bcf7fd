"""Unpack archives of VOC 2007 and 2012, if given, and check the files.

Each fault is one line, and the exit code is 1 if there is any.
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
        'VOCtrainval_11-May-2012.tar, in any folder',
    )
    parser.add_argument(
        '--counts',
        choices=['official', 'any'],
        default='official',
        help='expected numbers of images; default: official',
    )
    needs = parser.add_mutually_exclusive_group()
    needs.add_argument(
        '--config',
        help='config of the detector to train, for its class names',
    )
    needs.add_argument(
        '--classes',
        nargs='+',
        default=VOC_CLASSES,
        help="class names; default: VOC's twenty",
    )
    parser.add_argument(
        '--images',
        action='store_true',
        help='decode every image; default: read the headers of 200 per split',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = args.classes
    if args.config:
        cfg = read_config(args.config)
        from mmdisco.detection import wanted_of  # needs mmdet

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
