from pathlib import Path

from mmengine.config import Config

from mmdisco.checkpoints.student import RANDOM
from mmdisco.errors import InputError, MissingFileError


def set_student(cfg: Config, checkpoint: str) -> None:
    """Tell a config's ``StudentHook`` which student to load.

    Args:
        cfg (Config): The config, changed in place.
        checkpoint (str): The file; or 'random' for a detector without one.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If the config takes no student.
    """
    hooks = _hooks(cfg)
    if not hooks:
        raise InputError(
            f"this config takes no student: --student '{checkpoint}' is for "
            'one with a StudentHook, as those of configs/benchmarks and '
            'configs/detection'
        )
    for hook in hooks:
        _check_file(hook, checkpoint)
        hook.checkpoint = checkpoint


def check_student(cfg: Config) -> None:
    """Find a missing student before networks are built and images sought.

    Args:
        cfg (Config): The config, with what the command line says.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If a ``StudentHook`` has no student, in a run that is not
            resumed.
    """
    if cfg.get('resume'):  # its checkpoint has the student
        return
    for hook in _hooks(cfg):
        if hook.get('checkpoint') is None:
            raise InputError(
                'the student has no weights: pass --student '
                'CKPT, the checkpoint of its pre-training'
            )
        _check_file(hook, hook.checkpoint)


def _hooks(cfg: Config) -> list[dict]:
    return [
        hook
        for hook in cfg.get('custom_hooks') or ()
        if hook.type in ('StudentHook', 'DetectionStudentHook')
    ]


def _check_file(hook: dict, path: str) -> None:
    random = path == RANDOM and hook.type == 'DetectionStudentHook'
    if not random and not Path(path).is_file():
        raise MissingFileError(f"student file '{path}' not found: pass --student CKPT")
