"""Unpack COCO 2017, if archives are given, and check what is there.

Each fault is one line; with any, the exit code is 1.
"""
import argparse
import sys
from pathlib import Path

from mmdisco.datasets.checks import COCO_FOLDERS, check_coco, unpack
from mmdisco.launch import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=Path, default='data/coco',
                        help='folder of annotations, train2017 and val2017; '
                        'default: data/coco')
    parser.add_argument('--archives', nargs='+', type=Path, default=[],
                        help='train2017.zip, val2017.zip and '
                        'annotations_trainval2017.zip, wherever they are')
    parser.add_argument('--counts', choices=['official', 'any'],
                        default='official', help='numbers of images to '
                        'expect; default: official')
    parser.add_argument('--images', action='store_true',
                        help='open every image too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for archive in args.archives:
        written = unpack(archive, args.root, tops=COCO_FOLDERS)
        print(f'{archive}: {written} files unpacked into {args.root}')
    report = check_coco(args.root, args.counts, args.images)
    print('\n'.join(report.lines()))
    sys.exit(bool(report.faults))


if __name__ == '__main__':
    with one_line_errors():
        main()
