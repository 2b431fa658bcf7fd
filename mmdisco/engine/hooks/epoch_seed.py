import random
import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, set_random_seed
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader, get_worker_info

from mmdisco.engine.online import same_random_states
from mmdisco.launch.loaders import batch_size_of


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Makes random numbers a function of seed, epoch, rank and image.

    mmengine seeds the workers of a loader by seed, rank and worker alone.
    Workers that are started anew for each epoch then repeat the augmentations
    of the first one, and so does a resumed run. With this hook

    - what a worker draws for an image depends on the seed, the epoch, the
      rank, and the place of the image in the epoch's order: not on the number
      of workers, nor on whether they persist or how far they load ahead;
    - what the main process draws (views of whole batches, dropout) depends on
      seed, epoch and rank; in loops that count iterations, on seed, iteration
      and rank.

    So a run that is resumed at the end of an epoch goes on as it would have
    without the interruption, although checkpoints hold no random states. The
    order of the images follows the seed of the checkpoint, too.

    Args:
        without_workers (bool): Without workers, too, draw for each image as
            workers would; the main process's random states are restored after
            each batch. Takes 10 microseconds an image. Defaults to True.
            False leaves these draws to the main process's generators.
    """

    priority = 'VERY_HIGH'  # before the loader is wrapped

    def __init__(self, without_workers: bool = True) -> None:
        self.without_workers = without_workers
        self._batches: SeededBatches | None = None
        self._by_epoch = True

    def before_train(self, runner) -> None:
        """Send a seed to the workers along with each image's index."""
        loop = runner.train_loop
        loader = loop.dataloader
        self._by_epoch = not isinstance(loop, IterBasedTrainLoop)
        sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
        if (
            runner._resume
            and hasattr(sampler, 'seed')
            and not (runner._randomness_cfg.get('diff_rank_seed'))
        ):
            # with seed=None, the one drawn before the checkpoint was read
            sampler.seed = runner.seed
        if not isinstance(loader.batch_sampler, SeededBatches):
            # nothing is loaded yet, but DataLoader refuses replacements
            object.__setattr__(
                loader,
                'batch_sampler',
                SeededBatches(loader.batch_sampler, self.without_workers),
            )
        self._batches = loader.batch_sampler
        if loader.num_workers or self.without_workers:
            # else each start of workers takes a number from the main process
            loader.generator = torch.Generator()
        if not self._by_epoch:
            _restart(loop, loader, sampler)

    def before_train_epoch(self, runner) -> None:
        """Seed python, numpy and torch, and the images of this epoch."""
        rank = get_rank()
        set_random_seed(
            (  # numpy's have 32 bits
                runner.seed + 100_003 * runner.epoch + 1_009 * rank
            )
            % 2**32
        )
        if self._batches is not None:
            self._batches.begin(
                (runner.seed, runner.epoch, rank),
                0 if self._by_epoch else _place(runner.train_loop),
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed python, numpy and torch, if the training counts iterations."""
        if not self._by_epoch:
            set_random_seed(_seeds(runner.seed, runner.iter, get_rank())[1])


class SeededBatches:
    """A batch sampler whose batches seed those who load them.

    Everything else is asked of the batch sampler inside.

    Args:
        batches (Iterable[list]): Indices of images, by batches.
        in_main (bool): Whether the main process is seeded for each image, too.
    """

    def __init__(self, batches: Iterable[list[int]], in_main: bool) -> None:
        self.batches: Any = batches
        self.in_main = in_main
        self.begin((), 0)

    def begin(self, key: tuple[int, ...], place: int) -> None:
        """Say what seeds are made of, and how many images were before."""
        self._key, self._place = key, place

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str):
        if name == 'batches':  # not yet set, when unpickled
            raise AttributeError(name)
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator['SeededBatch']:
        for indices in self.batches:
            yield SeededBatch(indices, self._key, self._place, self.in_main)
            self._place += len(indices)


class SeededBatch:
    """Indices of a batch; before each, its image's seed is set.

    A loader's worker loads an image when it has taken its index from here.

    Args:
        indices (list): Indices of images.
        key (tuple[int]): What their seeds have in common.
        place (int): Of the first image in the order of its epoch.
        in_main (bool): Whether to seed outside workers, too.
    """

    def __init__(
        self, indices: list[int], key: tuple[int, ...], place: int, in_main: bool
    ) -> None:
        self.indices, self.key = indices, key
        self.place, self.in_main = place, in_main

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        if get_worker_info() is not None:
            yield from self._seeded()
        elif self.in_main:
            with same_random_states():
                yield from self._seeded()
        else:
            yield from self.indices

    def _seeded(self) -> Iterator[int]:
        for place, index in enumerate(self.indices, self.place):
            for_python, for_numpy, for_torch = _seeds(*self.key, place)
            random.seed(for_python)
            np.random.seed(for_numpy)
            # a tenth of torch.manual_seed's time, which seeds devices, too
            torch.default_generator.manual_seed(for_torch)
            yield index


def _seeds(*key: int) -> tuple[int, int, int]:
    """Three independent seeds; numpy's and torch's have 32 bits."""
    return struct.unpack('<QII', blake2b(repr(key).encode(), digest_size=16).digest())


def _restart(loop: IterBasedTrainLoop, loader: DataLoader, sampler) -> None:
    """Drop what is loaded already: some versions of mmengine begin at once."""
    if loop.dataloader_iterator._iterator is None:
        return
    loader._iterator = None
    if hasattr(sampler, '_indices_of_rank'):
        sampler.indices = sampler._indices_of_rank()
    loop.dataloader_iterator = type(loop.dataloader_iterator)(loader)


def _place(loop: IterBasedTrainLoop) -> int:
    """Images before the first that is loaded.

    A resumed loop either skips those of its sampler, or loads them once more.
    """
    loader = loop.dataloader
    skips = hasattr(loop.dataloader_iterator, 'skip_iter') and hasattr(
        loader.sampler, 'skip'
    )
    return loop.iter * batch_size_of(loader) if skips else 0
