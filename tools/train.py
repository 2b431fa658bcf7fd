"""Train a model: pre-training, distillation, evaluation, detection."""

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner

from mmdisco.engine import check_batch, check_labels, guard_weights
from mmdisco.launch import (
    LEVELS,
    ConfigOptions,
    add_hooks,
    apply_overrides,
    apply_speed,
    check_config,
    check_detection_files,
    check_folder,
    check_schedule,
    fit_queue,
    is_detector,
    leave_group,
    local_rank,
    one_line_errors,
    prepare_dist,
    read_config,
    scale_lr,
    scoped_name,
    set_start,
    set_up_loader,
    shrink,
    shrink_detection,
    unreached,
)
from mmdisco.launch.student import check_student, set_student


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a value from the newest one '
        'in the work dir, or start if there is none yet',
    )
    parser.add_argument(
        '--student',
        metavar='CKPT',
        help='checkpoint of the backbone to evaluate or transfer, for '
        "configs/benchmarks and configs/detection; 'random' for a detection "
        'baseline without pre-training',
    )
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--speed',
        choices=LEVELS,
        default='off',
        help="'exact': same results up to rounding; 'auto': may use bf16",
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='skip evaluation during training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with ranks x batch x accumulation',
    )
    parser.add_argument('--no-pin-memory', action='store_true')
    parser.add_argument('--no-persistent-workers', action='store_true')
    parser.add_argument(
        '--smoke',
        action='store_true',
        help='run a few tiny iterations on bundled images with a random teacher, '
        'to test a config in a minute',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        help='override settings of the config, as key=value; lists as '
        'key="[a,b]" or key=a,b, dicts as key="dict(a=1)", None to remove '
        'a hook or an entry of a list',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch passes --local-rank
    parser.add_argument('--local_rank', '--local-rank', type=int)
    args = parser.parse_args()
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> list[str]:
    """Apply the command line to the config; return notes for the log."""
    cfg.launcher = args.launcher
    runs = Path('work_dirs', 'smoke') if args.smoke else Path('work_dirs')
    cfg.work_dir = (
        args.work_dir
        or (None if args.smoke else cfg.get('work_dir'))
        or str(runs / Path(args.config).stem)
    )
    if args.student:
        set_student(cfg, args.student)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        if torch.cuda.is_available():
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        else:
            cfg.optim_wrapper.type = scoped_name(cfg, 'BF16OptimWrapper')
            cfg.optim_wrapper.pop('loss_scale', None)  # bf16 does not need one
    notes = set_start(cfg, args.resume)
    if not args.smoke and not cfg.get('smoke'):  # a smoke run makes its own
        check_student(cfg)
    cfg.setdefault('auto_scale_lr', dict(base_batch_size=256, enable=False))
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        set_up_loader(cfg, name, not args.no_pin_memory, not args.no_persistent_workers)
    return notes


def configure(args: argparse.Namespace) -> tuple[Config, list[str]]:
    """Read the config and apply the command line and all checks.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.

    Returns:
        tuple[Config, list[str]]: The config, and notes for the log.
        Dumping, reading and configuring the config again does not change it.

    Raises:
        InputError: If the config can't be run.
    """
    cfg = read_config(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    apply_overrides(cfg, args.cfg_options)
    check_config(cfg, ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper'))
    notes = merge_args(cfg, args)
    check_folder(cfg.work_dir, '--work-dir')
    add_hooks(cfg)
    prepare_dist(cfg, args.launcher)
    # from the launcher; mmengine creates the process group for CUDA later
    world_size = (
        int(os.environ.get('WORLD_SIZE', os.environ.get('SLURM_NTASKS', 1)))
        if args.launcher != 'none'
        else 1
    )
    if not cfg.get('smoke'):  # a config dumped by a smoke run is checked already
        notes += check_schedule(cfg)
    if args.smoke or cfg.get('smoke'):
        notes += (shrink_detection if is_detector(cfg) else shrink)(
            cfg, world_size, main=args.launcher == 'none' or local_rank() == 0
        )
        if torch_dist.is_initialized():
            torch_dist.barrier()
    notes += fit_queue(cfg, world_size)
    notes += apply_speed(cfg, args.speed)
    return cfg, notes


def main() -> None:
    cfg, notes = configure(parse_args())
    if is_detector(cfg):
        check_detection_files(cfg, 'train', 'val')
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    runner = build(cfg)
    guard_weights(runner)
    # mmengine logs this for each weight of a momentum encoder
    runner.logger.addFilter(
        lambda record: 'is skipped since its requires_grad' not in record.getMessage()
    )
    check_batch(runner)
    check_labels(runner)
    for note in notes + unreached(cfg, len(runner.train_dataloader)):
        runner.logger.warning(note)
    scale_lr(runner)
    runner.train()


if __name__ == '__main__':
    with one_line_errors():
        main()
        leave_group()
