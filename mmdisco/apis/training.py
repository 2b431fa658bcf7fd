"""Training by a config, as ``tools/train.py`` does it."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner

from mmdisco.engine import check_batch, check_labels, guard_weights
from mmdisco.errors import InputError
from mmdisco.launch import (
    add_hooks,
    apply_overrides,
    apply_speed,
    check_commercial,
    check_config,
    check_detection_files,
    check_folder,
    check_schedule,
    fit_queue,
    is_detector,
    local_rank,
    prepare_dist,
    read_config,
    scale_lr,
    scoped_name,
    set_start,
    set_up_loader,
    shrink,
    shrink_detection,
    unreached,
    use_store,
)
from mmdisco.launch.student import check_student, set_student


@dataclass(frozen=True)
class TrainOptions:
    """What is trained, and how: the flags of ``tools/train.py``.

    Args:
        config (str): Config file.
        work_dir (str, optional): Folder for logs and checkpoints. Defaults to
            None, that of the config, else ``work_dirs/CONFIG``.
        resume (str, optional): Checkpoint to resume from, 'auto' for the newest
            one of the work dir. Defaults to None.
        student (str, optional): Checkpoint of the backbone to evaluate or
            transfer. Defaults to None.
        amp (bool): Whether to use automatic mixed precision. Defaults to False.
        speed (str): 'auto', 'exact' or 'off'. Defaults to 'off'.
        compile (bool): Whether ``speed`` compiles, where a compiler works.
            Defaults to True.
        no_validate (bool): Whether to skip evaluation during the training.
            Defaults to False.
        auto_scale_lr (bool): Whether to scale the learning rate with the batch.
            Defaults to False.
        no_pin_memory (bool): Defaults to False.
        no_persistent_workers (bool): Defaults to False.
        smoke (bool): Whether to run a few iterations only. Defaults to False.
        cfg_options (dict, optional): Settings that override the config's.
            Defaults to None.
        commercial (bool): Whether to refuse teachers with a licence that forbids
            commercial use. Defaults to False.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'. Defaults to 'none'.
        teacher_store (str, optional): Folder of stored embeddings in place of the
            teacher. Defaults to None.
    """

    config: str
    work_dir: str | None = None
    resume: str | None = None
    student: str | None = None
    amp: bool = False
    speed: str = 'off'
    compile: bool = True
    no_validate: bool = False
    auto_scale_lr: bool = False
    no_pin_memory: bool = False
    no_persistent_workers: bool = False
    smoke: bool = False
    cfg_options: dict | None = None
    commercial: bool = False
    launcher: str = 'none'
    teacher_store: str | None = None


def configure(options: TrainOptions) -> tuple[Config, list[str]]:
    """Read the config and apply the options and all checks.

    Args:
        options (TrainOptions): The options.

    Returns:
        tuple[Config, list[str]]: The config, and notes for the log.
        Dumping, reading and configuring the config again does not change it.

    Raises:
        InputError: If the config can't be run.
    """
    cfg = read_config(options.config)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    apply_overrides(cfg, options.cfg_options)
    check_config(cfg, ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper'))
    notes = check_commercial(cfg) if options.commercial else []
    notes += _merge(cfg, options)
    check_folder(cfg.work_dir, '--work-dir')
    add_hooks(cfg)
    prepare_dist(cfg, options.launcher)
    # from the launcher; mmengine creates the process group for CUDA later
    world_size = (
        int(os.environ.get('WORLD_SIZE', os.environ.get('SLURM_NTASKS', 1)))
        if options.launcher != 'none'
        else 1
    )
    if not cfg.get('smoke'):  # a config dumped by a smoke run is checked already
        notes += check_schedule(cfg)
    if options.smoke or cfg.get('smoke'):
        notes += (shrink_detection if is_detector(cfg) else shrink)(
            cfg, world_size, main=options.launcher == 'none' or local_rank() == 0
        )
        if torch_dist.is_initialized():
            torch_dist.barrier()
    notes += _replace_teacher(cfg, options)
    notes += fit_queue(cfg, world_size)
    notes += apply_speed(cfg, options.speed, options.compile)
    return cfg, notes


def build_runner(cfg: Config, notes: list[str]) -> Runner:
    """Build the runner of a training and check model, data and schedule.

    Args:
        cfg (Config): Config of :func:`configure`.
        notes (list[str]): Its notes, for the log.

    Returns:
        Runner: Ready for ``train()``.

    Raises:
        InputError: If parts of the config do not suit each other.
    """
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
    return runner


def _replace_teacher(cfg: Config, options: TrainOptions) -> list[str]:
    """Use stored embeddings if asked for, or if a dumped config does so."""
    teacher = cfg.model.get('teacher') or {}
    folder = options.teacher_store
    if folder is None and teacher.get('type') == 'StoredTeacher':
        folder = teacher.get('store')
    if folder is None:
        return []
    if options.smoke or cfg.get('smoke'):
        raise InputError(
            '--smoke trains with a random teacher, --teacher-store with a stored one: '
            'leave one of them out'
        )
    return use_store(cfg, folder)


def _merge(cfg: Config, options: TrainOptions) -> list[str]:
    """Apply the options to the config; return notes for the log."""
    cfg.launcher = options.launcher
    runs = Path('work_dirs', 'smoke') if options.smoke else Path('work_dirs')
    cfg.work_dir = (
        options.work_dir
        or (None if options.smoke else cfg.get('work_dir'))
        or str(runs / Path(options.config).stem)
    )
    if options.student:
        set_student(cfg, options.student)
    if options.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if options.amp:
        if torch.cuda.is_available():
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        else:
            cfg.optim_wrapper.type = scoped_name(cfg, 'BF16OptimWrapper')
            cfg.optim_wrapper.pop('loss_scale', None)  # bf16 does not need one
    notes = set_start(cfg, options.resume)
    if not options.smoke and not cfg.get('smoke'):  # a smoke run makes its own
        check_student(cfg)
    cfg.setdefault('auto_scale_lr', dict(base_batch_size=256, enable=False))
    if options.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        set_up_loader(
            cfg, name, not options.no_pin_memory, not options.no_persistent_workers
        )
    return notes
