"""Unpack archives of COCO 2017, if given, and check the files.

Each fault is one line, and the exit code is 1 if there is any.
"""

import argparse
import sys
from pathlib import Path

from mmengine.registry import init_default_scope

from mmdisco.datasets.detection.verify import COCO_FOLDERS, Wanted, check_coco, unpack
from mmdisco.launch import one_line_errors, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--root',
        type=Path,
        default='data/coco',
        help='folder of annotations, train2017 and val2017; default: data/coco',
    )
    parser.add_argument(
        '--archives',
        nargs='+',
        type=Path,
        default=[],
        help='train2017.zip, val2017.zip and '
        'annotations_trainval2017.zip, in any folder',
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
        help='config of the detector to train: the files must contain its '
        'classes and masks',
    )
    needs.add_argument(
        '--classes',
        nargs='+',
        help='class names in the order of the config; default: those of train2017',
    )
    parser.add_argument(
        '--masks',
        choices=['yes', 'no'],
        help='whether the detector trains on masks; default: as the config does, '
        'else yes if any object has one',
    )
    parser.add_argument(
        '--images',
        action='store_true',
        help='decode every image; default: read the headers of 200 per split',
    )
    return parser.parse_args()


def wanted(args: argparse.Namespace) -> Wanted:
    """Classes and masks that the files must contain."""
    found = Wanted(args.classes)
    if args.config:
        cfg = read_config(args.config)
        from mmdisco.detection import wanted_of  # needs mmdet

        init_default_scope(cfg.get('default_scope', 'mmdet'))
        found = wanted_of(cfg)
    if args.masks:
        found = found._replace(masks=args.masks == 'yes')
    return found


def main() -> None:
    args = parse_args()
    needs = wanted(args)
    for archive in args.archives:
        done = unpack(archive, args.root, tops=COCO_FOLDERS)
        print(f'{archive}: {done.written} files unpacked into {args.root}')
        if done.left_out:
            print(
                f'{archive}: {len(done.left_out)} files left out, e.g. '
                f"'{done.left_out[0]}'"
            )
    report = check_coco(args.root, args.counts, args.images, needs)
    print('\n'.join(report.lines()))
    sys.exit(bool(report.faults))


if __name__ == '__main__':
    with one_line_errors():
        main()
