"""Orders of packed images that read each shard once per epoch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Dataset, Sampler

from mmdisco.errors import InputError
from .remote import fetch_ahead


@DATA_SAMPLERS.register_module()
class ShardSampler(Sampler):
    """Shuffle shards, then the images of a few shards at a time.

    For shards that have to be fetched, or that lie on a disk that is slow in random
    order; otherwise mmengine's ``DefaultSampler`` or ``InfiniteSampler`` shuffle
    packed images like files. In each epoch

    - the shards are shuffled as a whole, then divided between the ranks, each of
      which gets other shards in each epoch. A shard at a border is read by two;
    - each rank shuffles the images of ``window`` shards at a time, while the next
      ones are fetched;
    - each image is read once. As with ``DefaultSampler``, the first images of the
      epoch are repeated if its number is not a multiple of the ranks'; with
      ``infinite`` not even these.

    The order depends on seed, epoch and ranks only, not on the number of loader
    workers, so a resumed training goes on with the images that it would have read.

    Args:
        dataset (Dataset): A data set of packed images, or a wrapper of one.
        window (int): Shards whose images are mixed; the cache of fetched shards
            must hold twice as many for each rank. Defaults to 4.
        shuffle (bool): Must be True, the default.
        seed (int, optional): The same on all ranks. Defaults to None: drawn.
        infinite (bool): Whether epochs follow one another without an end, for
            iteration-based training. Defaults to False.

    Raises:
        InputError: If the images are not packed, or an argument is out of range.
    """

    def __init__(
        self,
        dataset: Dataset,
        window: int = 4,
        shuffle: bool = True,
        seed: int | None = None,
        infinite: bool = False,
    ) -> None:
        if not shuffle or window < 1:
            raise InputError(
                f'ShardSampler with shuffle={shuffle}, window={window}: use '
                'DefaultSampler for an order that is not shuffled, and window=1 or more'
            )
        inner: Any = dataset
        while hasattr(inner, 'dataset'):
            inner = inner.dataset
        images = getattr(inner, 'packed', None)
        if images is None:
            raise InputError(
                f'ShardSampler needs packed images, {type(inner).__name__} reads '
                'others: pack them by mmdisco pack, or use DefaultSampler'
            )
        self.files: Sequence[str] = images.files
        self.shard = images.shard[inner.rows]  # [N]
        self.rank, self.world_size = get_dist_info()
        self.window = window
        self.seed = sync_random_seed() if seed is None else seed
        self.infinite = infinite
        self.epoch = 0
        self.size = len(self.shard)
        self.indices = self._indices_of_rank()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, by which the order differs."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of images of this rank in an epoch; if infinite, of all."""
        return self.size if self.infinite else -(-self.size // self.world_size)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of this rank."""
        if self.infinite:
            return self.indices
        return self._mixed(self._part(self.epoch), self.epoch)

    def skip(self, num_samples: int) -> None:
        """Go to a position of the endless order, as ``InfiniteSampler.skip``.

        Args:
            num_samples (int): Number of images from the start, of this rank.
        """
        self.indices = self._indices_of_rank(num_samples)

    def _indices_of_rank(self, start: int = 0) -> Iterator[int]:
        """Endless order of this rank from a position on."""
        epoch = 0
        while True:
            low, high = self._borders(epoch)
            if start < high - low:
                yield from self._mixed(self._part(epoch), epoch, start)
            start = max(start - (high - low), 0)
            epoch += 1

    def _borders(self, epoch: int) -> tuple[int, int]:
        """First and last position of this rank in the order of all images."""
        if not self.infinite:
            return self.rank * len(self), (self.rank + 1) * len(self)
        # in turns, so that no rank gets more than others in the long run
        turn = (self.rank + epoch) % self.world_size
        return (
            self.size * turn // self.world_size,
            self.size * (turn + 1) // self.world_size,
        )

    def _part(self, epoch: int) -> np.ndarray:
        """Images of this rank in an epoch, by shard."""
        rng = np.random.default_rng((self.seed, epoch))
        place = rng.permutation(len(self.files))  # of each shard
        order = np.argsort(place[self.shard], kind='stable')  # [N]
        low, high = self._borders(epoch)
        return np.take(order, range(low, high), mode='wrap')

    def _mixed(self, part: np.ndarray, epoch: int, start: int = 0) -> Iterator[int]:
        """Shuffle the images of several shards at a time.

        Args:
            part (np.ndarray): Images by shard.
            epoch (int): The epoch.
            start (int): Number of images to leave out.
        """
        rng = np.random.default_rng((self.seed, epoch, self.rank, self.world_size))
        shard = self.shard[part]
        runs = np.flatnonzero(np.diff(shard, prepend=-1))  # starts of the shards
        starts = [*runs[:: self.window].tolist(), len(part)]
        windows = [*zip(starts, starts[1:])]
        for i, (low, high) in enumerate(windows):
            order = part[low:high][rng.permutation(high - low)]
            if high <= start:
                continue
            if i + 1 < len(windows):
                ahead = dict.fromkeys(shard[slice(*windows[i + 1])].tolist())
                fetch_ahead([self.files[k] for k in ahead])
            yield from order[max(start - low, 0) :].tolist()
