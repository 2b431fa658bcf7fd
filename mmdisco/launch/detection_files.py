from pathlib import Path

from mmengine.config import Config

from mmdisco.errors import MissingFileError
from .checks import several
from .overrides import datasets_of


def check_detection_files(cfg: Config, *splits: str) -> None:
    """Refuse a detector's config whose annotation files are not there.

    Args:
        cfg (Config): The config.
        splits (str): Of 'train', 'val' and 'test'.

    Raises:
        MissingFileError: If a file of a data set or evaluator is missing.
    """
    for split in splits:
        for dataset in datasets_of(cfg.get(f'{split}_dataloader')):
            _check(dataset.get('ann_file'), dataset.get('data_root') or '',
                   f'{split}_dataloader')
        for metric in several(cfg.get(f'{split}_evaluator')):
            _check(metric.get('ann_file'), '', f'{split}_evaluator')


def _check(file, root: str, name: str) -> None:
    if file and '://' not in f'{root}{file}' and not Path(root, file).is_file():
        raise MissingFileError(
            f"no annotations '{Path(root, file)}' of {name}: put them there, "
            'or name the folder of the data: --cfg-options data_root=FOLDER')
