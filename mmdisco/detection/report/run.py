from typing import NamedTuple

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner

from mmdisco.checkpoints import check_complete
from mmdisco.errors import InputError, MissingFileError
from ..data_check_hook import DetectionDataCheckHook
from .keep import KeepDetections


class Tested(NamedTuple):
    """What a test gave."""

    metrics: dict[str, float]
    dataset: BaseDataset
    chosen: list[int]  # indices of images, evenly spaced over the set
    samples: list[DetDataSample]  # of these, in the original image's pixels


def run_test(cfg: Config, checkpoint: str, num: int) -> Tested:
    """Test a detector once, and keep its detections in a few images.

    Args:
        cfg (Config): With the metrics wanted, and a ``work_dir``.
        checkpoint (str): File of all the detector's weights.
        num (int): How many images to keep, at most.

    Raises:
        InputError: If the checkpoint is not of this detector, or the set has
            no images.
        MissingFileError: If a file of the test set is missing.
    """
    try:
        return _run(cfg, checkpoint, num)
    except FileNotFoundError as error:
        # a worker of the loader prepends a traceback and the class
        line = str(error).strip().split('\n')[-1]
        raise MissingFileError(
            'a file of the test set is missing: '
            f'{line.removeprefix("FileNotFoundError: ")}: put it there, or '
            'name its folder: --cfg-options data_root=FOLDER'
        ) from error


def _run(cfg: Config, checkpoint: str, num: int) -> Tested:
    # hooks may have to see it loaded; the config of a resumed run says resume
    cfg.load_from, cfg.resume = checkpoint, False
    runner = Runner.from_cfg(cfg)
    dataset = runner.test_loop.dataloader.dataset
    if not len(dataset):
        raise InputError('the test set has no images')
    check_complete(runner, checkpoint)
    chosen = np.linspace(0, len(dataset) - 1, min(num, len(dataset)))
    chosen = [int(index) for index in chosen.round()]
    ids = [dataset.get_data_info(index)['img_id'] for index in chosen]
    keep = KeepDetections(ids)
    runner.register_hook(keep)
    if not any(isinstance(hook, DetectionDataCheckHook) for hook in runner.hooks):
        runner.register_hook(DetectionDataCheckHook())
    metrics = runner.test()
    return Tested(metrics, dataset, chosen, [keep.samples[i] for i in ids])
