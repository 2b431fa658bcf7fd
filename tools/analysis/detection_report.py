"""Test a detector: AP by class and by object size, and a picture.

Writes report.json, report.md and detections.png. AP is COCO's, on sets in COCO's
and in VOC's format.
"""

import argparse
import json
from pathlib import Path

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import apply_overrides, one_line_errors, read_config
from mmdisco.utils import atomic_write


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a detector')
    parser.add_argument('checkpoint', help='checkpoint of the whole detector')
    parser.add_argument('--out', required=True, type=Path, help='folder to write to')
    parser.add_argument(
        '--num',
        type=int,
        default=8,
        help='number of images to draw, evenly spaced over the set; default: 8',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='lowest score to draw, AP uses all; default: 0.3',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config',
    )
    return parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Check the arguments before anything is computed."""
    if not Path(args.checkpoint).is_file():
        raise MissingFileError(f"checkpoint '{args.checkpoint}' not found")
    if args.out.exists() and not args.out.is_dir():
        raise InputError(f"--out '{args.out}' is a file: name a folder")
    if args.num < 0:
        raise InputError(f'--num {args.num}: must be 0 or more')


def main() -> None:
    try:
        args = parse_args()
    except ValueError as error:  # of mmengine's DictAction
        raise InputError('--cfg-options must be key=value') from error
    cfg = read_config(args.config)
    check(args)
    # after the quick checks, because importing mmdet takes seconds
    from mmdisco.detection.report import (
        draw_detections,
        markdown,
        measure_by_coco,
        run_test,
        scores_of,
    )

    init_default_scope(cfg.get('default_scope', 'mmdet'))
    apply_overrides(cfg, args.cfg_options)
    measure_by_coco(cfg)
    cfg.work_dir = str(args.out)
    tested = run_test(cfg, args.checkpoint, args.num)
    picture = 'detections.png' if tested.chosen else None
    report = dict(
        config=args.config,
        checkpoint=args.checkpoint,
        num_images=len(tested.dataset),
        picture=picture,
        **scores_of(tested.metrics, tested.dataset.metainfo['classes']),
    )
    if picture:
        with atomic_write(args.out / picture) as half:
            draw_detections(
                tested.dataset, tested.chosen, tested.samples, args.score_thr, half
            )
    with atomic_write(args.out / 'report.json') as half:
        half.write_text(json.dumps(report, indent=1) + '\n')
    text = markdown(report)
    with atomic_write(args.out / 'report.md') as half:
        half.write_text(text)
    print(text)


if __name__ == '__main__':
    with one_line_errors():
        main()
