"""Train a student on a folder of photos, in one call."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from mmengine.config import Config
from mmengine.dist import barrier, broadcast_object_list, is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from rich.console import Console

from mmdisco.checkpoints import extract_backbone
from mmdisco.datasets.packed.remote import is_url
from mmdisco.datasets.stored import read_header
from mmdisco.engine import InterruptHook, ProgressHook, TimeBudgetHook
from mmdisco.engine.hooks.progress import duration
from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import (
    LEVELS,
    check_commercial,
    check_folder,
    init_processes,
    leave_group,
    local_rank,
    newest_checkpoint,
    read_config,
)
from mmdisco.utils import atomic_write
from mmdisco.zoo.download import fetch
from mmdisco.zoo.teachers import entry_of
from .estimate import Estimate, estimate
from .recipe import Choices, Recipe, recipe_of, set_length, size_of
from .training import TrainOptions, build_runner, configure

CONFIG, STUDENT = 'config.py', 'student.pth'
# A training shorter than this gains less from torch.compile than it waits for it.
WORTH_COMPILING = 3600.0  # seconds


class Trained(NamedTuple):
    """Result of a training.

    Attributes:
        student (str, optional): File of the student's backbone. None if the
            training was interrupted.
        config (str): The config that ran.
        steps (int): Steps done.
        size (int): Height and width of the training's crops in pixels.
        imported (str, optional): 'package.module:Class' of a student of the user's
            own, which files of it are loaded with. Defaults to None.
    """

    student: str | None
    config: str
    steps: int
    size: int
    imported: str | None = None


def distill(
    data: str | Path,
    teacher: str,
    student: str,
    out: str | Path,
    method: str | None = None,
    *,
    epochs: float | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    lr: float | None = None,
    workers: int | None = None,
    seed: int = 0,
    speed: str = 'auto',
    teacher_checkpoint: str | Path | None = None,
    teacher_store: str | Path | None = None,
    commercial: bool = False,
    resume: bool = False,
) -> Trained:
    """Distil a frozen teacher into a student on a folder of photos.

    What is not given is chosen from the number of images and the machine, and
    printed with an estimate of time, memory and disk. The config that runs is
    ``OUT/config.py``, for ``tools/train.py``; the result ``OUT/student.pth``. The
    log is in ``OUT``.

    Args:
        data (str or Path): Folder of images without labels, at any depth.
        teacher (str): Name of the teacher, e.g. 'dinov2_vits14' or 'timm:NAME'
            (:func:`mmdisco.zoo.list_teachers`). Its file is downloaded if it is
            missing.
        student (str): Name of the student, e.g. 'mobilenetv4_conv_small',
            'torchvision:resnet18' or 'package.module:Class'
            (:func:`mmdisco.models.named_network`).
        out (str or Path): Folder to write.
        method (str, optional): 'disco', 'seed', 'simreg', 'coss' or 'queue_kl'.
            Defaults to None: 'disco' for a teacher with a projection head, else
            'queue_kl'.
        epochs (float, optional): Passes over the images. Defaults to None.
        minutes (float, optional): Length of the training instead; the number of
            steps follows the pace. Defaults to None.
        batch_size (int, optional): Images per step and rank. Defaults to None.
        size (int, optional): Height and width of the crops in pixels. Defaults to
            None: 224, or what the student takes.
        lr (float, optional): Learning rate. Defaults to None.
        workers (int, optional): Processes that load images. Defaults to None.
        seed (int): Defaults to 0.
        speed (str): 'auto', 'exact' or 'off', as ``tools/train.py --speed``.
            Defaults to 'auto'.
        teacher_checkpoint (str or Path, optional): File of the teacher. Defaults to
            None, where the file of its name is downloaded to.
        teacher_store (str or Path, optional): Folder of the teacher's embeddings,
            written by ``mmdisco store``, in place of its network. Defaults to None.
        commercial (bool): Whether to refuse teachers with a licence that does not
            allow commercial use. Defaults to False.
        resume (bool): Whether to continue the training in ``out``. Its config is
            used; arguments that differ from it raise an error. Defaults to False.

    Returns:
        Trained: Files and number of steps.

    Raises:
        InputError: If a name is unknown, parts do not suit each other, or ``out``
            holds another training.

    Example:
        >>> import mmdisco
        >>> mmdisco.distill(
        ...     data='photos',
        ...     teacher='dinov2_vits14',
        ...     student='mobilenetv4_conv_small',
        ...     out='runs/birds',
        ... )  # doctest: +SKIP
    """
    checkpoint = None if teacher_checkpoint is None else str(teacher_checkpoint)
    return _train(
        str(data),
        student,
        Path(out),
        teacher,
        Choices(method, epochs, batch_size, size, lr, workers, seed, checkpoint),
        minutes,
        speed,
        commercial,
        resume,
        None if teacher_store is None else str(teacher_store),
    )


def pretrain(
    data: str | Path,
    student: str,
    out: str | Path,
    method: str | None = None,
    *,
    epochs: float | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    lr: float | None = None,
    workers: int | None = None,
    seed: int = 0,
    speed: str = 'auto',
    resume: bool = False,
) -> Trained:
    """Train a network on a folder of photos by self-supervision, without a teacher.

    Args:
        data (str or Path): Folder of images without labels, at any depth.
        student (str): Name of the network, as in :func:`distill`.
        out (str or Path): Folder to write.
        method (str, optional): 'mocov2', 'simclr', 'byol' or 'barlowtwins'.
            Defaults to None, 'mocov2'.
        epochs (float, optional): See :func:`distill`, as the arguments below.
        minutes (float, optional): Length of the training instead.
        batch_size (int, optional): Images per step and rank.
        size (int, optional): Height and width of the crops in pixels.
        lr (float, optional): Learning rate.
        workers (int, optional): Processes that load images.
        seed (int): Defaults to 0.
        speed (str): 'auto', 'exact' or 'off'. Defaults to 'auto'.
        resume (bool): Whether to continue the training in ``out``.

    Returns:
        Trained: Files and number of steps.

    Raises:
        InputError: As :func:`distill`.
    """
    return _train(
        str(data),
        student,
        Path(out),
        None,
        Choices(method, epochs, batch_size, size, lr, workers, seed),
        minutes,
        speed,
        False,
        resume,
    )


def _train(
    data: str,
    student: str,
    out: Path,
    teacher: str | None,
    choices: Choices,
    minutes: float | None,
    speed: str,
    commercial: bool,
    resume: bool,
    store: str | None = None,
) -> Trained:
    """Choose, estimate, train and extract."""
    console = Console(highlight=False, soft_wrap=True)
    main = int(os.environ.get('RANK', 0)) == 0
    console.quiet = not main
    world_size = int(os.environ.get('WORLD_SIZE', 1))
    options = TrainOptions(
        config=str(out / CONFIG),
        work_dir=str(out),
        resume='auto' if resume else None,
        speed=speed,
        compile=False,
        teacher_store=store,
        launcher='pytorch' if 'RANK' in os.environ and world_size > 1 else 'none',
    )
    _check_options(choices, minutes, speed)
    _check_files(data, choices.checkpoint, resume)
    init_processes(options.launcher)
    _check_out(out, resume)
    given = {
        name: value
        for name, value in dict(
            photos=data,
            teacher=teacher,
            student=student,
            minutes=minutes,
            teacher_store=store,
            **asdict(choices),
        ).items()
        if value is not None
    }
    barrier()  # before the first rank writes
    if resume:
        before = read_config(options.config)
        _check_same(before.get('started_with', given), given, out)
        if 'speed' in before:
            # the config has the settings that ran, also whether it was compiled
            options = replace(options, speed='off')
        with _quiet():
            cfg, notes = configure(replace(options, commercial=commercial))
        console.print(
            f'resume    {cfg.load_from}, of {cfg.train_cfg.max_iters} steps, with '
            f'the settings of {out / CONFIG}',
            markup=False,
        )
    else:
        with _quiet(logging.ERROR):
            recipe = recipe_of(data, student, teacher, choices, world_size)
        recipe.cfg.started_with = given
        if commercial:
            for note in check_commercial(recipe.cfg):
                console.print(f'note      {note}', markup=False)
        if teacher and store is not None:
            _check_stored(teacher, store, choices.checkpoint)
        elif teacher:
            obtain_teacher(teacher, recipe.cfg.model.teacher, choices.checkpoint)
        console.print(
            f'trial     {recipe.images} images in {data}; a few steps are run and '
            'thrown away, to estimate time and memory',
            markup=False,
        )
        _write(recipe.cfg, out / CONFIG)
        with _quiet(logging.ERROR):  # the training itself repeats the warnings
            cost = estimate(configure(options)[0])
        if minutes is not None:
            steps = max(int(60 * minutes / cost.seconds), 1)
            set_length(recipe.cfg, _of_first_rank(steps))
        seconds = recipe.cfg.train_cfg.max_iters * cost.seconds
        compiled = _of_first_rank(seconds >= WORTH_COMPILING)
        options = replace(options, compile=compiled)
        _write(recipe.cfg, out / CONFIG)
        with _quiet(logging.ERROR):
            cfg, notes = configure(options)
        _print_plan(console, recipe, cfg, cost, out)
    for note in notes:
        console.print(f'note      {note}', markup=False)
    return _run(cfg, out, console, main, None if resume else minutes)


def _check_options(choices: Choices, minutes: float | None, speed: str) -> None:
    """Check what can be checked before anything is read."""
    if choices.epochs is not None and minutes is not None:
        raise InputError('--epochs and --minutes both set the length: give one of them')
    if speed not in LEVELS:
        raise InputError(f"speed is one of {', '.join(LEVELS)}, got '{speed}'")
    for name, value in dict(
        epochs=choices.epochs,
        minutes=minutes,
        batch_size=choices.batch_size,
        size=choices.size,
        lr=choices.lr,
    ).items():
        if value is not None and value <= 0:
            raise InputError(f'{name} is {value}: set a number above 0')


def _check_files(data: str, checkpoint: str | None, resume: bool) -> None:
    """Check that the photos and the teacher's file exist."""
    if resume:  # its config names them
        return
    folder = Path(data).expanduser()
    if not is_url(data) and not folder.is_dir():
        why = 'is a file' if folder.exists() else 'does not exist'
        raise MissingFileError(f"'{data}' {why}: name a folder of images")
    if checkpoint is not None:
        _check_teacher_file(checkpoint)


def _check_teacher_file(path: str) -> None:
    if not Path(path).expanduser().exists():
        raise MissingFileError(
            f"the teacher's file '{path}' does not exist: check --teacher-checkpoint, "
            'or leave it out to download the file'
        )


def _check_out(out: Path, resume: bool) -> None:
    """Check that the folder can be written and that no training is overwritten."""
    check_folder(str(out), '--out')
    newest = newest_checkpoint(out) if out.is_dir() else None
    if resume and not (out / CONFIG).is_file():
        raise InputError(f"'{out}' has no {CONFIG} to resume: leave --resume out")
    if resume and not newest:
        raise InputError(f"'{out}' has no checkpoint to resume: leave --resume out")
    if newest and not resume:
        raise InputError(
            f"'{out}' holds a training ({Path(newest).name}): add --resume to continue "
            'it, or choose another --out'
        )
    config = out / CONFIG
    if config.is_file() and 'IterBasedTrainLoop' not in config.read_text():
        raise InputError(
            f"'{config}' is not of this command, and would be overwritten: choose "
            'another --out'
        )


def _check_same(before: dict, now: dict, out: Path) -> None:
    """Check that a continued training is the one that the command describes."""
    for name in dict.fromkeys((*before, *now)):
        old, new = before.get(name), now.get(name)
        if old == new or (name not in now and name != 'teacher'):
            continue
        option = 'PHOTOS' if name == 'photos' else f'--{name.replace("_", "-")}'
        option = option.replace('--checkpoint', '--teacher-checkpoint')
        started = f'with {option} {old}' if name in before else f'without {option}'
        raise InputError(
            f"'{out}' was started {started}, --resume has {new}: --resume continues "
            'it unchanged, so leave the difference out, or choose another --out'
        )


def obtain_teacher(name: str, teacher: dict, given: str | None) -> None:
    """Download the teacher's file if it is missing and was not given.

    Args:
        name (str): Name of the teacher.
        teacher (dict): Its config.
        given (str, optional): File that the user named.

    Raises:
        MissingFileError: If the user's file does not exist.
        InputError: If the file can't be downloaded.
    """
    if given is not None:
        _check_teacher_file(given)
        return
    path, url = Path(teacher['checkpoint']), teacher.get('url')
    if path.exists():
        return
    if url is None:
        raise InputError(
            f"the file of the teacher '{name}' has no known address: set "
            '--teacher-checkpoint'
        )
    entry = entry_of(name)
    if local_rank() == 0:
        try:
            fetch(entry.urls, path, entry.sha256)
        except InputError as error:
            raise InputError(
                f'{error}; if you have the file, name it by --teacher-checkpoint'
            ) from error
    barrier()


def _check_stored(name: str, store: str, given: str | None) -> None:
    """Check that a store is of the published file of a teacher, if that is known."""
    published = entry_of(name).sha256
    stored = read_header(store)['teacher']
    if given is None and published not in (None, stored['sha256']):
        raise InputError(
            f"the store '{store}' is of another file ({stored['file']}, sha256 "
            f"{stored['sha256'][:12]}) than that of the teacher '{name}' (sha256 "
            f'{str(published)[:12]}): set --teacher-checkpoint, or use another store'
        )


def _write(cfg: Config, path: Path) -> None:
    """Write a config on the first rank, before another rank reads it."""
    if is_main_process():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as half:
            half.write_text(cfg.pretty_text)
    barrier()


def _of_first_rank(value: Any) -> Any:
    values = [value]
    broadcast_object_list(values)
    return values[0]


def _print_plan(
    console: Console, recipe: Recipe, cfg: Config, cost: Estimate, out: Path
) -> None:
    """Print choices and estimate, a line each."""
    steps = cfg.train_cfg.max_iters
    loader = cfg.train_dataloader
    world_size = int(os.environ.get('WORLD_SIZE', 1))
    epochs = steps * loader.batch_size * world_size / recipe.images
    kept = cfg.default_hooks.checkpoint.max_keep_ckpts + 1
    disk = kept * cost.checkpoint
    free = shutil.disk_usage(out).free
    if disk > free:
        raise InputError(
            f"the training needs {in_bytes(disk)} in '{out}', {in_bytes(free)} are "
            'free: choose another --out'
        )
    lines = [
        (name, f'{text}, {cost.parameters / 1e6:.2f} M parameters')
        if name == 'student'
        else (name, text)
        for name, text in recipe.lines
    ]
    lines += [
        ('schedule', f'{steps} steps, {epochs:.1f} passes over the images'),
        (
            'estimate',
            f'{duration(steps * cost.seconds)} ({cost.seconds:.2f} s per step), '
            f'{in_bytes(cost.memory)} of memory, {in_bytes(disk)} of disk',
        ),
    ]
    for name, text in lines:
        console.print(f'{name:9} {text}', markup=False)


def in_bytes(number: float) -> str:
    """Describe a number of bytes, e.g. '3.1 GB'."""
    for unit in ('B', 'kB', 'MB', 'GB'):
        if number < 1000:
            return f'{number:.3g} {unit}'
        number /= 1000
    return f'{number:.3g} TB'


def _run(
    cfg: Config, out: Path, console: Console, main: bool, minutes: float | None
) -> Trained:
    """Train, and extract the student at the end."""
    stop, progress = InterruptHook(), ProgressHook()
    with _quiet():
        runner = build_runner(cfg, [])
        runner.register_hook(progress)
        if minutes is not None:
            runner.register_hook(
                TimeBudgetHook(
                    60 * minutes,
                    set_length,
                    lambda changed: _write(changed, out / CONFIG),
                    partial(progress.console.print, highlight=False),
                )
            )
        runner.register_hook(stop)
        try:
            runner.train()
            stop.end(runner)
        except BaseException as error:
            if not stop.end(runner, error):
                raise
    steps, config = runner.iter, str(out / CONFIG)
    size = size_of(cfg.train_dataloader.dataset.pipeline)
    imported = cfg.model.get('ssl', cfg.model).backbone.get('path')
    # workers of the loader end with it, before the process does
    runner.train_loop.dataloader_iterator = None
    loader = runner.train_dataloader
    getattr(loader, 'loader', loader)._iterator = None  # of a CudaPrefetcher
    if stop.interrupted:
        console.print(f'stopped after {steps} steps; {out}/iter_{steps}.pth is written')
        return Trained(None, config, steps, size, imported)
    student = out / STUDENT
    if main:
        extract_backbone(str(out / f'iter_{steps}.pth'), str(student), size=size)
    console.print(f'student   {student}', markup=False)
    del runner
    leave_group()
    return Trained(str(student), config, steps, size, imported)


@contextmanager
def _quiet(level: int = logging.WARNING) -> Iterator[None]:
    """Send the log to its file, and show only warnings and errors, one line each.

    Args:
        level (int): Lowest level that is shown. Defaults to ``logging.WARNING``.
    """
    build = Runner.build_logger
    hide(MMLogger.get_current_instance(), level)

    def quiet(runner: Runner, *args: Any, **kwargs: Any) -> MMLogger:
        return hide(build(runner, *args, **kwargs), level)

    with patch.object(Runner, 'build_logger', quiet):
        yield


def _is_of_this_run(record: logging.LogRecord) -> bool:
    """Whether a message is for the user, not for the programmers of mmengine."""
    message = record.getMessage()
    return not ('FileClient' in message or 'HardDiskBackend' in message)


def hide(logger: MMLogger, level: int) -> MMLogger:
    """Show only messages from a level on; the log file has all.

    Args:
        logger (MMLogger): Logger of a run.
        level (int): The level, as in ``logging``.
    """
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(level)
            handler.setFormatter(logging.Formatter('%(levelname)s: %(message)s'))
            handler.addFilter(_is_of_this_run)
    return logger
