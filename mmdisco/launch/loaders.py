import torch
from mmengine.config import Config
from torch.utils.data import DataLoader

from .scope import is_detector


def set_up_loader(
    cfg: Config, name: str, pin_memory: bool = True, persistent_workers: bool = True
) -> None:
    """Fill in what a loader's config leaves open, as mmpretrain's tools do.

    Args:
        cfg (Config): The config, changed in place.
        name (str): Of the loader; there may be none.
        pin_memory (bool): Whether batches for a GPU may be pinned. Defaults
            to True.
        persistent_workers (bool): Whether workers may stay from one epoch to
            the next. Defaults to True.
    """
    loader = cfg.get(name)
    if loader is None:
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
    """Images of a batch of one rank.

    A loader with a batch sampler of its own, as detectors have, does not know
    it.
    """
    return loader.batch_size or loader.batch_sampler.batch_size
