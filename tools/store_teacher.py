"""Store a teacher's embeddings of random views of a folder of photos.

Trainings with --teacher-store replay these views and read the embeddings: they do not
run the teacher. The same command continues a store after any interruption, adds
images that are new in the folder, and with a larger --views further views.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from mmengine.logging import MMLogger

from mmdisco.apis.distillation import hide
from mmdisco.apis.store import (
    command_of,
    photos_config,
    store_teacher,
)
from mmdisco.apis.store_header import DEFAULT_VIEWS, StoreOptions
from mmdisco.datasets.stored.store import DTYPES
from mmdisco.errors import InputError
from mmdisco.evaluation.options import non_negative_int, positive_int
from mmdisco.launch import (
    LEVELS,
    ConfigOptions,
    apply_overrides,
    check_commercial,
    check_folder,
    init_processes,
    leave_group,
    one_line_errors,
    read_config,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'photos', nargs='?', help='folder of images, at any depth; or give --config'
    )
    parser.add_argument('--teacher', help="see 'mmdisco list teachers'")
    parser.add_argument(
        '--teacher-checkpoint',
        metavar='FILE',
        help='file of the teacher; default: downloaded',
    )
    parser.add_argument(
        '--size',
        type=positive_int,
        default=224,
        help='side of the crops in pixels; default: 224',
    )
    parser.add_argument(
        '--config',
        help='take images, views and teacher from the config of a training instead',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        help='override settings of --config, as key=value',
    )
    parser.add_argument('--out', required=True, type=Path, help='folder of the store')
    parser.add_argument(
        '--views',
        type=positive_int,
        help=f'views of each image; default: those of the store, else {DEFAULT_VIEWS}',
    )
    parser.add_argument(
        '--dtype',
        choices=DTYPES,
        help="numbers on disk, 'int8' with a scale for each embedding; default: fp16",
    )
    parser.add_argument(
        '--seed', type=non_negative_int, help='seed of all views; default: 0'
    )
    parser.add_argument(
        '--batch-size',
        type=positive_int,
        default=64,
        help='views in a pass of the teacher; default: 64',
    )
    parser.add_argument(
        '--workers', type=non_negative_int, help='processes that load images'
    )
    parser.add_argument(
        '--speed',
        choices=LEVELS,
        default='auto',
        help="'exact': same results up to rounding; default: auto, which may use bf16 "
        'and draws views faster',
    )
    parser.add_argument(
        '--shard',
        type=positive_int,
        help='images of a file; default: by the number of embeddings',
    )
    parser.add_argument(
        '--check',
        type=non_negative_int,
        default=0,
        metavar='N',
        help='compute N stored views again and compare',
    )
    parser.add_argument(
        '--verify', action='store_true', help='compare the checksums of all files'
    )
    parser.add_argument(
        '--commercial',
        action='store_true',
        help='refuse a teacher with a licence that does not allow commercial use',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        help='default: pytorch if torchrun starts this',
    )
    args = parser.parse_args()
    if bool(args.config) == bool(args.photos):
        raise InputError('name either PHOTOS, with --teacher, or --config')
    if args.photos and not args.teacher:
        raise InputError("name the teacher by --teacher: 'mmdisco list teachers'")
    if args.config and (args.teacher or args.teacher_checkpoint):
        raise InputError(
            '--config names the teacher: leave --teacher out, or override '
            '--cfg-options model.teacher.checkpoint=FILE'
        )
    return args


def main() -> None:
    args = parse_args()
    command = command_of(sys.argv[1:])
    check_folder(str(args.out), '--out')
    many = int(os.environ.get('WORLD_SIZE', 1)) > 1
    init_processes(
        args.launcher or ('pytorch' if 'RANK' in os.environ and many else 'none')
    )
    if args.config:
        cfg = read_config(args.config)
        apply_overrides(cfg, args.cfg_options)
    else:
        cfg = photos_config(
            args.photos, args.teacher, args.teacher_checkpoint, args.size
        )
    if args.commercial:
        for note in check_commercial(cfg):
            print(note)
    hide(MMLogger.get_current_instance(), logging.WARNING)
    names = (
        'views',
        'dtype',
        'seed',
        'batch_size',
        'workers',
        'speed',
        'shard',
        'check',
        'verify',
    )
    options = StoreOptions(**{name: getattr(args, name) for name in names})
    store_teacher(cfg, args.out, options, command)


if __name__ == '__main__':
    with one_line_errors():
        main()
        leave_group()
