"""Evaluate a model on the test set of its config (mmpretrain's flags)."""

import argparse
import os
from pathlib import Path

import mmengine
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmdisco.checkpoints import check_complete
from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import (
    ConfigOptions,
    apply_overrides,
    check_config,
    check_detection_files,
    check_folder,
    is_detector,
    leave_group,
    one_line_errors,
    prepare_dist,
    read_config,
    set_up_loader,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for logs and metrics')
    parser.add_argument('--out', help='file for the results')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        default='pred',
        help='what to write; default: pred',
    )
    parser.add_argument('--no-pin-memory', action='store_true')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        help='override settings of the config',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int)
    args = parser.parse_args()
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def check_out(path: str, item: str) -> None:
    """Check that the results file can be written, before the evaluation.

    Raises:
        InputError: If its ending is not a known format, or it is a folder.
    """
    endings = (
        ('.pkl', '.pickle')
        if item == 'pred'
        else ('.json', '.yml', '.yaml', '.pkl', '.pickle')
    )
    if Path(path).suffix not in endings:
        raise InputError(
            f"--out '{path}': --out-item {item} writes files "
            f'that end with {", ".join(endings)}'
        )
    if Path(path).is_dir():
        raise InputError(f"--out '{path}' is a folder: name a file")
    check_folder(str(Path(path).parent), '--out')


def main() -> None:
    args = parse_args()
    if args.out:
        check_out(args.out, args.out_item)
    cfg = read_config(args.config)
    if not Path(args.checkpoint).is_file():
        raise MissingFileError(f"checkpoint '{args.checkpoint}' not found")
    if cfg.get('test_dataloader') is None:
        raise InputError(
            'a pre-training config has no test set; evaluate its features on '
            f'labelled images: python tools/eval/knn.py {args.checkpoint} '
            '--data FOLDER'
        )
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    apply_overrides(cfg, args.cfg_options)
    check_config(cfg, ('model', 'test_dataloader'), 'test')
    cfg.launcher = args.launcher
    # the config of a resumed run sets resume
    cfg.load_from, cfg.resume = args.checkpoint, False
    cfg.work_dir = (
        args.work_dir
        or cfg.get('work_dir')
        or str(Path('work_dirs', Path(args.config).stem))
    )
    check_folder(cfg.work_dir, '--work-dir')
    set_up_loader(cfg, 'test_dataloader', not args.no_pin_memory)
    prepare_dist(cfg, args.launcher)
    if is_detector(cfg):
        check_detection_files(cfg, 'test')
    runner = Runner.from_cfg(cfg)
    check_complete(runner, args.checkpoint)
    if args.out and args.out_item == 'pred':
        runner.test_evaluator.metrics.append(DumpResults(args.out))
    metrics = runner.test()
    if args.out and args.out_item == 'metrics' and is_main_process():
        mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    with one_line_errors():
        main()
        leave_group()
