"""Ask what a student knows of a detector's objects before it is trained.

Features of the true boxes, from a C4 detector that has only its student, and
a linear classifier of their classes: its accuracy on the test images.
"""

import argparse
from pathlib import Path

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmdisco.errors import InputError
from mmdisco.launch import apply_overrides, one_line_errors, read_config
from mmdisco.launch.student import set_student


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of a C4 detector')
    parser.add_argument(
        '--student',
        required=True,
        metavar='CKPT',
        help="the student's checkpoint, or 'random'",
    )
    parser.add_argument(
        '--work-dir', default='work_dirs/region_probe', help='folder of the log'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if not cfg.model.get('roi_head', {}).get('shared_head'):
        raise InputError(
            f"'{args.config}' is no C4 detector: it has no roi_head.shared_head"
        )
    apply_overrides(cfg, args.cfg_options)
    set_student(cfg, args.student)
    cfg.work_dir = str(Path(args.work_dir))
    from mmdisco.experiments.region_probe import region_probe

    runner = Runner.from_cfg(cfg)
    runner._init_model_weights()
    print(
        f'linear classifier of true boxes, {args.student}: '
        f'{100 * region_probe(runner):.2f} %'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
