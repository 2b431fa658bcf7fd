"""Files of students and annotations, checked before anything is built."""

from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.fileio import list_from_file

from mmdisco.checkpoints.student import RANDOM
from mmdisco.errors import InputError, MissingFileError
from .checks import several
from .overrides import datasets_of


def set_student(cfg: Config, checkpoint: str) -> None:
    """Set the student that a config's ``StudentHook`` loads.

    Args:
        cfg (Config): The config, changed in place.
        checkpoint (str): The file, or 'random' for a detector without
            pre-training.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If the config has no ``StudentHook``.
    """
    hooks = _hooks(cfg)
    if not hooks:
        raise InputError(
            f"this config has no StudentHook: --student '{checkpoint}' is for "
            'configs/benchmarks and configs/detection'
        )
    for hook in hooks:
        _check_file(hook, checkpoint)
        hook.checkpoint = checkpoint


def check_student(cfg: Config) -> None:
    """Check that the student exists before networks and data sets are built.

    Args:
        cfg (Config): The config, with the command line's options.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If a ``StudentHook`` has no student and the run is not
            resumed.
    """
    if cfg.get('resume'):  # the checkpoint has the student
        return
    for hook in _hooks(cfg):
        if hook.get('checkpoint') is None:
            raise InputError(
                'the student has no weights: pass --student '
                'CKPT, the checkpoint of its pre-training'
            )
        _check_file(hook, hook.checkpoint)


def _hooks(cfg: Config) -> list[ConfigDict]:
    return [
        hook
        for hook in cfg.get('custom_hooks') or ()
        if hook.type in ('StudentHook', 'DetectionStudentHook')
    ]


def _check_file(hook: ConfigDict, path: str) -> None:
    random = path == RANDOM and hook.type == 'DetectionStudentHook'
    if not random and not Path(path).is_file():
        raise MissingFileError(f"student file '{path}' not found: pass --student CKPT")


def check_detection_files(cfg: Config, *splits: str) -> None:
    """Check annotation files and classes of a detector's data sets.

    Args:
        cfg (Config): The config of a detector.
        *splits (str): Any of 'train', 'val' and 'test'.

    Raises:
        MissingFileError: If a file of a data set or evaluator is missing.
        InputError: If classes are a string.
    """
    for split in splits:
        for dataset in datasets_of(cfg.get(f'{split}_dataloader')):
            _check(
                dataset.get('ann_file'),
                dataset.get('data_root') or '',
                f'{split}_dataloader',
            )
            classes_of(dataset)
        for metric in several(cfg.get(f'{split}_evaluator')):
            _check(metric.get('ann_file'), '', f'{split}_evaluator')


def _check(file: str | None, root: str, name: str) -> None:
    if file and '://' not in f'{root}{file}' and not Path(root, file).is_file():
        raise MissingFileError(
            f"annotations '{Path(root, file)}' of {name} not found: add them, "
            'or specify the data folder: --cfg-options data_root=FOLDER'
        )


def classes_of(dataset: dict) -> tuple[str, ...] | None:
    """Return the class names in the config of a data set, None if it has none.

    Args:
        dataset (dict): Config whose ``metainfo.classes`` is a list, or a file
            with one name per line.

    Raises:
        InputError: If it is another string, which mmengine would read as a
            sequence of letters.
    """
    classes = (dataset.get('metainfo') or {}).get('classes')
    if isinstance(classes, str):
        if not Path(classes).is_file():
            raise InputError(
                f"metainfo.classes is the string '{classes}': write "
                f"('{classes}', ) for a single class"
            )
        classes = list_from_file(classes)
    return None if classes is None else tuple(classes)
