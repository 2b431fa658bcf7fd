"""Smoke runs of detectors."""

from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from mmdisco.checkpoints.student import RANDOM
from mmdisco.utils import quiet_init
from .overrides import datasets_of, move_data
from .schedule import schedulers_of
from .smoke import DEMO, save_atomically

BATCH, ITERS, EPOCHS, TEST_IMAGES = 2, 2, 2, 4
SHRINK = 5  # divisor of image sizes in the pipelines
# Arguments of transforms that are sizes in pixels.
_SIZES = ('scale', 'scales', 'img_scale', 'crop_size', 'size')
# Maximum numbers of boxes.
_MAX_BOXES = dict(nms_pre=100, max_per_img=20, num=16)


def shrink_detection(cfg: Config, world_size: int, main: bool) -> list[str]:
    """Shrink a detector's config to a few iterations on any machine.

    The network is unchanged, the student's weights random. A few small images
    are composed of the bundled ones.

    Args:
        cfg (Config): The config with its ``work_dir``, changed in place.
        world_size (int): Number of ranks.
        main (bool): Whether this process writes the files.

    Returns:
        list[str]: Warnings for the log.
    """
    work_dir = Path(cfg.work_dir)
    folder = work_dir / 'smoke_images'
    if main:
        rmtree(folder, ignore_errors=True)
        _make_images(cfg, folder, BATCH * ITERS * world_size)
    move_data(cfg, str(folder))
    for loader in (cfg.train_dataloader, cfg.get('val_dataloader')):
        if loader:
            loader.update(
                batch_size=min(loader.batch_size, BATCH),
                num_workers=0,
                persistent_workers=False,
            )
    for part in (
        cfg.train_dataloader,
        cfg.get('val_dataloader'),
        cfg.get('custom_hooks'),
    ):
        if not cfg.get('smoke'):  # a dumped config has small sizes already
            _shrink_sizes(part)
    cfg.smoke = True
    for part in (cfg.model.get('train_cfg'), cfg.model.get('test_cfg')):
        _lower(part)
    _shorten(cfg)
    random = _random_student(cfg, work_dir / 'smoke_student.pth', main)
    weights = 'RANDOM weights of the student. ' if random else ''
    return [f'SMOKE TEST: {weights}This run only shows that the config works']


def _make_images(cfg: Config, folder: Path, images: int) -> None:
    """Make a data set in the config's format, with its first ten classes."""
    from mmdet.registry import DATASETS

    from mmdisco.datasets.detection.synthetic import make_set

    dataset = next(datasets_of(cfg.train_dataloader))
    classes = (
        dataset.get('metainfo', {}).get('classes')
        or DATASETS.get(dataset.type).METAINFO['classes']
    )
    # evaluators index all classes of the head; if the config has fewer than ten,
    # the other garments belong to no class
    names = [*classes, *(f'none{i}' for i in range(10 - len(classes)))]
    make_set(
        folder,
        'voc' if dataset.type == 'VOCDataset' else 'coco',
        images,
        TEST_IMAGES,
        DEMO,
        names=names,
        photos='sklearn',
    )


def _shorten(cfg: Config) -> None:
    by_epoch = 'max_epochs' in cfg.train_cfg
    cfg.train_cfg.update(
        dict(max_epochs=EPOCHS) if by_epoch else dict(max_iters=ITERS),
        val_interval=EPOCHS if by_epoch else ITERS,
    )
    cfg.train_cfg.pop('dynamic_intervals', None)
    for scheduler in schedulers_of(cfg):
        if by_epoch and scheduler.get('by_epoch', True):
            scheduler.begin = min(scheduler.get('begin', 0), EPOCHS - 1)
            scheduler.end = EPOCHS
    hooks = cfg.default_hooks
    if hooks.get('logger'):
        hooks.logger.interval = 1
    if not by_epoch and hooks.get('checkpoint'):
        hooks.checkpoint.interval = ITERS
    for hook in cfg.get('custom_hooks') or ():
        if hook.type == 'DetectionPreciseBNHook':
            hook.update(num_batches=1, interval=1)


def _shrink_sizes(node: Any) -> None:
    """Divide all image sizes in a config's pipelines."""
    for child in node.values() if isinstance(node, dict) else node or ():
        if isinstance(child, (dict, list, tuple)):
            _shrink_sizes(child)
    if isinstance(node, dict):
        for key in node.keys() & set(_SIZES):
            node[key] = _divided(node[key])


def _divided(size: Any) -> Any:
    if isinstance(size, (list, tuple)):
        return type(size)(map(_divided, size))
    return size // SHRINK if isinstance(size, int) else size


def _lower(node: Any) -> None:
    """Limit the number of a detector's boxes."""
    if isinstance(node, dict):
        for key, most in _MAX_BOXES.items():
            if isinstance(node.get(key), int) and node[key] > most:
                node[key] = most
        for child in node.values():
            _lower(child)


def _random_student(cfg: Config, path: Path, main: bool) -> bool:
    """Write a random student; return whether the config needs one."""
    hooks = [
        hook
        for hook in cfg.get('custom_hooks') or ()
        if hook.type == 'DetectionStudentHook' and hook.get('checkpoint') != RANDOM
    ]
    for hook in hooks:
        hook.checkpoint = str(path)
    if hooks and main:
        from mmdet.registry import MODELS

        parts = [cfg.model.backbone, cfg.model.get('roi_head', {}).get('shared_head')]
        state_dict: dict[str, Tensor] = {}
        with torch.random.fork_rng(), quiet_init():
            torch.manual_seed(1)
            for part in filter(None, parts):
                state_dict.update(
                    (f'backbone.{key}', value)
                    for key, value in MODELS.build(part).state_dict().items()
                    if not key.startswith('norm.')
                )
        save_atomically(dict(state_dict=state_dict, meta=dict(random=1)), path)
    return bool(hooks)
