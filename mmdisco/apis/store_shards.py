"""Embedding of replayed views, and writing of the shards of a store."""

import copy
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmdisco.checkpoints import sha256_of
from mmdisco.datasets.decode import is_readable
from mmdisco.datasets.stored import ViewReplay, view_seed
from mmdisco.datasets.stored.store import Shard, encode
from mmdisco.errors import InputError
from mmdisco.launch import apply_speed
from mmdisco.models import FrozenTeacher
from mmdisco.utils import atomic_write, available_cores, worker_start_method

Loaded = tuple[list[Tensor | None], list[int]]


class Batch(NamedTuple):
    """Some images of a shard.

    Attributes:
        shard (Shard): The shard.
        rows (range): Images.
    """

    shard: Shard
    rows: range


class ViewBatches(Dataset):
    """Batches of replayed views.

    Args:
        header (dict): Header of the store.
        paths (dict[str, str]): Paths of the images by name.
        order (Sequence[str]): Names of the images, in the order of the store.
        batches (Sequence[Batch]): Images of each batch. Defaults to ().
    """

    def __init__(
        self,
        header: dict,
        paths: dict[str, str],
        order: Sequence[str],
        batches: Sequence[Batch] = (),
    ) -> None:
        self.header = header
        self.replay = ViewReplay([kind['pipeline'] for kind in header['kinds']])
        self.seed = header['seed']
        self.paths, self.order = paths, order
        self.batches = batches

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[list[Tensor | None], list[int]]:
        """Draw the views of a batch.

        Returns:
            tuple: Views of each image, uint8 [V, 3, H, W], None for one that can't
            be read; and the indices of such images.
        """
        shard, rows = self.batches[index]
        parts: list[Tensor | None] = []
        unreadable = []
        for row in rows:
            views = self.views(row, shard.kind, range(shard.first, shard.last))
            parts.append(views)
            if views is None:
                unreadable.append(row)
        return parts, unreadable

    def views(self, row: int, kind: int, views: Sequence[int]) -> Tensor | None:
        """Some views of an image, uint8 [V, 3, H, W]; None if it can't be read."""
        name = self.order[row]
        path = self.paths[name]
        wanted = [(kind, view_seed(self.seed, name, kind, view)) for view in views]
        try:
            return torch.stack(self.replay.views(path, wanted))
        except Exception:  # decoders raise their own exceptions
            if is_readable(path):
                raise
            return None


def _no_threads(_: int) -> None:
    """One thread for each process that loads images."""
    cv2.setNumThreads(0)


class Embedder:
    """Embeds replayed views on the device of this rank.

    Args:
        cfg (Config): Config with the teacher.
        header (dict): Header of the store.
        paths (dict[str, str]): Paths of the images by name.
        order (Sequence[str]): Names of the images, in the order of the store.
        batch_size (int): Views in a pass of the teacher.
        workers (int, optional): Processes that load images. Defaults to None, as
            many as cores.
    """

    def __init__(
        self,
        cfg: Config,
        header: dict,
        paths: dict[str, str],
        order: Sequence[str],
        batch_size: int,
        workers: int | None = None,
    ) -> None:
        self.cfg, self.batch_size = cfg, batch_size
        self.images = ViewBatches(header, paths, order)
        self.device = torch.device(get_device())
        preprocessor = dict(type='SelfSupDataPreprocessor', **header['images'])
        self.preprocessor = MODELS.build(preprocessor).to(self.device)
        if workers is None:
            # torchrun's ranks share the cores of a node
            ranks = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
            workers = max(1, available_cores() // ranks)
        self.workers = workers

    def build_teacher(self, speed: str, compile: bool = False) -> FrozenTeacher:
        """Build the teacher.

        Args:
            speed (str): 'auto', 'exact' or 'off'.
            compile (bool): Whether to compile it. Defaults to False.
        """
        cfg = copy.deepcopy(self.cfg)
        apply_speed(cfg, speed, compile)
        teacher = MODELS.build(cfg.model.teacher).to(self.device)
        teacher.match_normalisation(self.preprocessor)
        return teacher

    def embed(self, teacher: nn.Module, pixels: Tensor) -> Tensor:
        """Embed views in passes of one size.

        Args:
            teacher (nn.Module): The teacher.
            pixels (Tensor): uint8 [N, 3, H, W].

        Returns:
            Tensor: fp32 [N, D], on the CPU.
        """
        parts = []
        for part in pixels.split(self.batch_size):
            rest = self.batch_size - len(part)
            batch = torch.cat([part, part[-1:].expand(rest, -1, -1, -1)])
            data = dict(inputs=[batch.to(self.device)], data_samples=None)
            (inputs,) = self.preprocessor(data)['inputs']
            parts.append(teacher(inputs)[: len(part)].float().cpu())
        return torch.cat(parts)

    def batches(self, shards: Sequence[Shard]) -> list[Batch]:
        """Batches of shards, of about as many views as a pass takes."""
        batches = []
        for shard in shards:
            step = max(self.batch_size // (shard.last - shard.first), 1)
            for start in range(shard.start, shard.stop, step):
                rows = range(start, min(start + step, shard.stop))
                batches.append(Batch(shard, rows))
        return batches

    def loader(self, batches: Sequence[Batch]) -> Iterable[Loaded]:
        """Load batches in their order, see :meth:`ViewBatches.__getitem__`."""
        return DataLoader(
            ViewBatches(
                self.images.header, self.images.paths, self.images.order, batches
            ),
            batch_size=None,
            num_workers=min(self.workers, len(batches)),
            multiprocessing_context=worker_start_method(self.workers),
            worker_init_fn=_no_threads,
            pin_memory=self.device.type == 'cuda',
        )


def write_shards(
    folder: Path,
    header: dict,
    embedder: Embedder,
    teacher: nn.Module,
    loaded: Iterable[tuple[Batch, Loaded]],
) -> list[str]:
    """Embed and write shards, one after the other.

    Args:
        folder (Path): The store.
        header (dict): Its header.
        embedder (Embedder): Embeds views.
        teacher (nn.Module): The teacher.
        loaded (Iterable[tuple[Batch, Loaded]]): All batches of the shards.

    Returns:
        list[str]: Names of images that could not be read.

    Raises:
        InputError: If an embedding is not finite, or a file can't be written.
    """
    broken: list[str] = []
    readable: list[bool] = []
    pending: list[Tensor] = []  # views that no pass has taken yet
    embeds: list[Tensor] = []
    for batch, (views, unreadable) in loaded:
        shard = batch.shard
        readable += [part is not None for part in views]
        broken += [embedder.images.order[row] for row in unreadable]
        pending += [part for part in views if part is not None]
        last = batch.rows.stop == shard.stop
        waiting = sum(map(len, pending))
        if pending and (last or waiting >= embedder.batch_size):
            pixels = torch.cat(pending)
            size = embedder.batch_size
            full = waiting if last else waiting // size * size
            embeds.append(embedder.embed(teacher, pixels[:full]))
            pending = [pixels[full:]] if full < waiting else []
        if last:
            width = header['teacher']['width']
            rows = torch.full(
                (len(readable), shard.last - shard.first, width), float('nan')
            )
            if embeds:
                rows[readable] = torch.cat(embeds).view(-1, *rows.shape[1:])
            if not rows[readable].isfinite().all():
                raise InputError(
                    f'embeddings of images {shard.start} to {shard.stop - 1} are not '
                    'finite: check the checkpoint, or set --speed off'
                )
            _write_shard(folder, header, shard, rows.numpy())
            readable, pending, embeds = [], [], []
    return broken


def _write_shard(folder: Path, header: dict, shard: Shard, rows: np.ndarray) -> None:
    """Write a shard, then its sidecar: without one, a shard does not exist."""
    with np.errstate(invalid='ignore'):  # NaN of unreadable images
        encoded = encode(rows.reshape(-1, rows.shape[2]), header['dtype'])
    encoded = encoded.reshape(*rows.shape[:2], *encoded.shape[1:])
    path = folder / f'{shard.name}.npy'
    with atomic_write(path, shared=True, durable=True) as half:
        np.save(half, encoded)
        side = dict(
            store=header['identity'],
            shard=list(shard),
            bytes=half.stat().st_size,
            sha256=sha256_of(half),
        )
    path = path.with_suffix('.json')
    with atomic_write(path, shared=True, durable=True) as half:
        half.write_text(json.dumps(side) + '\n')
