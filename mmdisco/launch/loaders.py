"""Data loaders and the length of the queue."""

from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from mmdisco.errors import InputError
from .checks import several
from .scope import is_detector


def set_up_loader(
    cfg: Config, name: str, pin_memory: bool = True, persistent_workers: bool = True
) -> None:
    """Set a loader's defaults, as mmpretrain's tools do.

    Args:
        cfg (Config): The config, changed in place.
        name (str): Name of the loader, which may be missing or lack a data set.
        pin_memory (bool): Whether batches for a GPU may be pinned. Defaults
            to True.
        persistent_workers (bool): Whether workers may persist across epochs.
            Defaults to True.
    """
    loader = cfg.get(name)
    if loader is None or 'dataset' not in loader:  # an OnlineLoop has its own
        return
    loader.setdefault(
        'collate_fn',
        dict(type='pseudo_collate' if is_detector(cfg) else 'default_collate'),
    )
    loader.setdefault('pin_memory', torch.cuda.is_available())
    loader.setdefault('persistent_workers', True)
    if not pin_memory:
        loader.pin_memory = False
    workers = loader.get('num_workers', 0)
    if not persistent_workers or workers == 0:
        loader.persistent_workers = False
    if workers == 0:
        loader.pop('prefetch_factor', None)


def batch_size_of(loader: DataLoader) -> int:
    """Return the batch size of one rank.

    A loader with a custom batch sampler, as in detection, has no ``batch_size``.
    """
    if loader.batch_size:
        return loader.batch_size
    batches: Any = loader.batch_sampler
    return batches.batch_size


MAX_QUEUE = 65536  # as in the paper, for 1.28 million images


def fit_queue(cfg: Config, world_size: int) -> list[str]:
    """Replace ``queue_len='auto'`` by a length that fits the data set.

    Queues of the algorithm and of the distillation losses. The length is a
    multiple of the global batch and at most half of the images, so that a query
    rarely meets a key of its own image.

    Args:
        cfg (Config): The config, changed in place.
        world_size (int): Number of ranks.

    Returns:
        list[str]: Lines for the log.

    Raises:
        InputError: If there are fewer images than one batch.
    """
    ssl = cfg.model.get('ssl', cfg.model)
    parts = [ssl, *several(cfg.model.get('distill'))]
    parts = [part for part in parts if part.get('queue_len') == 'auto']
    if not parts:
        return []
    images = len(DATASETS.build(cfg.train_dataloader.dataset))
    batch = cfg.train_dataloader.batch_size * world_size
    if images < batch:
        raise InputError(
            f'{images} images are too few for one batch of {batch}: lower '
            'train_dataloader.batch_size, or add images'
        )
    length = max(min(images // 2, MAX_QUEUE) // batch, 1) * batch
    for part in parts:
        part.queue_len = length
    return [f'queue_len: {length} keys for {images} images in batches of {batch}']
