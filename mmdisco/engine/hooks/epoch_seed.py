"""Random numbers as a function of seed, epoch, rank and image."""

import random
import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, set_random_seed
from mmpretrain.registry import HOOKS
from torch.utils.data import BatchSampler, DataLoader, get_worker_info

from mmdisco.engine.online import same_random_states
from mmdisco.launch.loaders import batch_size_of


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Make random numbers a function of seed, epoch, rank and image.

    mmengine seeds loader workers by seed, rank and worker index only. Workers
    restarted for each epoch, or by a resume, therefore repeat the augmentations
    of the first epoch. With this hook

    - random numbers that a worker draws for an image depend on the seed, the
      epoch, the rank and the image's position in the epoch, but not on the
      number of workers, whether they persist, or how far they prefetch;
    - random numbers of the main process (views of whole batches, dropout) depend
      on seed, epoch and rank; in iteration-based loops on seed, iteration and
      rank.

    A run resumed at the end of an epoch thus continues exactly as if it had not
    been interrupted, although checkpoints hold no random states. The order of
    the images follows the seed of the checkpoint, too.

    Args:
        without_workers (bool): Seed each image also if the loader has no
            workers; the main process's random states are restored after each
            batch. Costs 10 microseconds per image. Defaults to True. If False,
            the main process's generators are used.
    """

    priority = 'VERY_HIGH'  # before hooks that wrap the loader

    def __init__(self, without_workers: bool = True) -> None:
        self.without_workers = without_workers
        self._batches: SeededBatches | None = None
        self._by_epoch = True

    def before_train(self, runner) -> None:
        """Wrap the batch sampler so that each image's index comes with its seed."""
        loop = runner.train_loop
        loader = loop.dataloader
        self._by_epoch = not isinstance(loop, IterBasedTrainLoop)
        sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
        if (
            runner._resume
            and hasattr(sampler, 'seed')
            and not (runner._randomness_cfg.get('diff_rank_seed'))
        ):
            # with seed=None, it has the one drawn before loading the checkpoint
            sampler.seed = runner.seed
        if not isinstance(loader.batch_sampler, SeededBatches):
            # DataLoader refuses replacements, though nothing is loaded yet
            object.__setattr__(
                loader,
                'batch_sampler',
                SeededBatches(loader.batch_sampler, self.without_workers),
            )
        self._batches = loader.batch_sampler
        if loader.num_workers or self.without_workers:
            # otherwise each start of workers draws from the main process
            loader.generator = torch.Generator()
        if not self._by_epoch:
            _restart(loop, loader, sampler)

    def before_train_epoch(self, runner) -> None:
        """Seed Python, NumPy and torch, and the images of this epoch."""
        rank = get_rank()
        set_random_seed(
            (  # NumPy takes 32 bits
                runner.seed + 100_003 * runner.epoch + 1_009 * rank
            )
            % 2**32
        )
        if self._batches is not None:
            self._batches.begin(
                (runner.seed, runner.epoch, rank),
                0 if self._by_epoch else _position(runner.train_loop),
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed Python, NumPy and torch in an iteration-based loop."""
        if not self._by_epoch:
            set_random_seed(_seeds(runner.seed, runner.iter, get_rank())[1])


class SeededBatches:
    """Wrap a batch sampler so that its batches seed the process that loads them.

    All other attributes are those of the wrapped sampler.

    Args:
        batches (BatchSampler): Batch sampler of image indices.
        in_main (bool): Whether to seed the main process for each image, too.
    """

    def __init__(self, batches: BatchSampler, in_main: bool) -> None:
        self.batches = batches
        self.in_main = in_main
        self.begin((), 0)

    def begin(self, key: tuple[int, ...], position: int) -> None:
        """Start an epoch.

        Args:
            key (tuple[int]): Common part of the images' seeds.
            position (int): Position of the first image in the epoch.
        """
        self._key, self._position = key, position

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the wrapped sampler."""
        if name == 'batches':  # not set yet while unpickling
            raise AttributeError(name)
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator['SeededBatch']:
        """Yield batches of indices that seed as they are iterated."""
        for indices in self.batches:
            yield SeededBatch(indices, self._key, self._position, self.in_main)
            self._position += len(indices)


class SeededBatch:
    """Indices of a batch that set each image's seed as they are iterated.

    A worker loads an image right after taking its index.

    Args:
        indices (list[int]): Indices of images.
        key (tuple[int]): Common part of their seeds.
        position (int): Position of the first image in the epoch.
        in_main (bool): Whether to seed outside workers, too.
    """

    def __init__(
        self, indices: list[int], key: tuple[int, ...], position: int, in_main: bool
    ) -> None:
        self.indices, self.key = indices, key
        self.position, self.in_main = position, in_main

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        """Yield the indices; seed before each."""
        if get_worker_info() is not None:
            yield from self._seeded()
        elif self.in_main:
            with same_random_states():
                yield from self._seeded()
        else:
            yield from self.indices

    def _seeded(self) -> Iterator[int]:
        for position, index in enumerate(self.indices, self.position):
            for_python, for_numpy, for_torch = _seeds(*self.key, position)
            random.seed(for_python)
            np.random.seed(for_numpy)
            # ten times faster than torch.manual_seed, which seeds devices, too
            torch.default_generator.manual_seed(for_torch)
            yield index


def _seeds(*key: int) -> tuple[int, int, int]:
    """Derive independent seeds for Python (64 bits), NumPy and torch (32 bits)."""
    return struct.unpack('<QII', blake2b(repr(key).encode(), digest_size=16).digest())


def _restart(loop: IterBasedTrainLoop, loader: DataLoader, sampler: Any) -> None:
    """Drop batches loaded too early, as some versions of mmengine do."""
    if loop.dataloader_iterator._iterator is None:
        return
    loader._iterator = None
    if hasattr(sampler, '_indices_of_rank'):
        sampler.indices = sampler._indices_of_rank()
    loop.dataloader_iterator = type(loop.dataloader_iterator)(loader)


def _position(loop: IterBasedTrainLoop) -> int:
    """Return the position of the first image that is loaded.

    A resumed loop either skips past images in its sampler, or reloads them.
    """
    loader = loop.dataloader
    skips = hasattr(loop.dataloader_iterator, 'skip_iter') and hasattr(
        loader.sampler, 'skip'
    )
    return loop.iter * batch_size_of(loader) if skips else 0
