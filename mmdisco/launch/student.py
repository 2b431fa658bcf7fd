from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.fileio import list_from_file

from mmdisco.checkpoints.student import RANDOM
from mmdisco.errors import InputError, MissingFileError
from .checks import several
from .overrides import datasets_of


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
    """Refuse annotation files or classes that no data set can be built of.

    Args:
        cfg (Config): The config of a detector.
        splits (str): Of 'train', 'val' and 'test'.

    Raises:
        MissingFileError: If a file of a data set or evaluator is missing.
        InputError: If classes are a text.
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


def _check(file, root: str, name: str) -> None:
    if file and '://' not in f'{root}{file}' and not Path(root, file).is_file():
        raise MissingFileError(
            f"no annotations '{Path(root, file)}' of {name}: put them there, "
            'or name the folder of the data: --cfg-options data_root=FOLDER'
        )


def classes_of(dataset: dict) -> tuple[str, ...] | None:
    """Names of classes that the config of a data set gives; None if none.

    Args:
        dataset (dict): Its ``metainfo.classes`` is a list, or a file of lines.

    Raises:
        InputError: If it is another text, which mmengine takes for a sequence
            of letters.
    """
    classes = (dataset.get('metainfo') or {}).get('classes')
    if isinstance(classes, str):
        if not Path(classes).is_file():
            raise InputError(
                f"metainfo.classes is the text '{classes}': write "
                f"('{classes}', ) for a single class"
            )
        classes = list_from_file(classes)
    return None if classes is None else tuple(classes)
