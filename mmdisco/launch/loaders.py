from typing import Any, cast

import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from mmdisco.errors import InputError
from .scope import is_detector


def set_up_loader(
    cfg: Config, name: str, pin_memory: bool = True, persistent_workers: bool = True
) -> None:
    """Fill in defaults of a data loader's config, as mmpretrain's tools do.

    Args:
        cfg (Config): The config, changed in place.
        name (str): Of the loader; there may be none, or one without a data
            set.
        pin_memory (bool): Whether batches for a GPU may be pinned. Defaults
            to True.
        persistent_workers (bool): Whether workers may persist between epochs.
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
    """Batch size of one rank.

    A loader with a custom batch sampler, as used by detectors, has no
    ``batch_size``.
    """
    return loader.batch_size or cast(Any, loader.batch_sampler).batch_size


LONGEST = 65536  # the paper's, for 1.28 million images


def fit_queue(cfg: Config, world_size: int) -> list[str]:
    """Replace ``queue_len='auto'`` by a length that fits the data set.

    The length is a multiple of the batch and at most half of the images, so
    that a query is rarely compared with a key of its own image.

    Args:
        cfg (Config): The config, changed in place.
        world_size (int): Number of ranks.

    Returns:
        list[str]: Notes for the log.

    Raises:
        InputError: If the images are too few for one batch.
    """
    ssl = cfg.model.get('ssl', cfg.model)
    if ssl.get('queue_len') != 'auto':
        return []
    images = len(DATASETS.build(cfg.train_dataloader.dataset))
    batch = cfg.train_dataloader.batch_size * world_size
    if images < batch:
        raise InputError(
            f'{images} images are too few for one batch of {batch}: lower '
            'train_dataloader.batch_size, or add images'
        )
    ssl.queue_len = max(min(images // 2, LONGEST) // batch, 1) * batch
    return [
        f'queue_len: {ssl.queue_len} keys for {images} images in batches of {batch}'
    ]
