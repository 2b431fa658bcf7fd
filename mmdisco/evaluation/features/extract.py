"""Extraction of the features of a split into its cache, by all processes."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import torch
from mmengine.dist import (
    barrier,
    broadcast_object_list,
    get_dist_info,
    is_main_process,
)
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmdisco.errors import InputError
from mmdisco.utils import available_cores, worker_start_method
from ..sources import Source
from .cache import Features, matching, read_features
from .views import Crop, ImageViews, batch_of

if TYPE_CHECKING:  # its import loads the model zoo, which training does not need
    from .encoder import Encoder


def header_of(
    encoder: 'Encoder', source: Source, crop: Crop, views: int, seed: int, dtype: str
) -> dict:
    """Header that identifies features, of JSON types.

    Args:
        encoder (Encoder): The network.
        source (Source): Images.
        crop (Crop): Crop of the images.
        views (int): Random views of each image; 0 for the central crop only.
        seed (int): Seed of random views.
        dtype (str): Precision on disk.
    """
    transform = list(crop) if views else list(crop[:-1])  # without scale
    return dict(
        model=encoder.name,
        sha256=encoder.sha256,
        weights=encoder.weights,
        normalisation=list(encoder.normalisation),
        data=source.fingerprint(),
        root=source.root,
        split=source.split,
        num=len(source),
        classes=source.classes,
        transform=transform,
        views=views,
        seed=seed if views else None,
        dtype=dtype,
    )


def embed(
    encoder: 'Encoder',
    images: ImageViews,
    batches: Sequence[Tensor],
    num_workers: int = 0,
    title: str = '',
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Embed images batch by batch.

    Args:
        encoder (Encoder): The network, on its device.
        images (ImageViews): One view of each image.
        batches (Sequence[Tensor]): Indices of the images in each batch, [B].
        num_workers (int): Processes that load images. Defaults to 0.
        title (str): Title of the progress bar. Defaults to '': no bar.

    Yields:
        tuple[Tensor, np.ndarray]: Indices and their features, fp32, [B, D].
    """
    device = next(encoder.parameters()).device
    loader = DataLoader(
        images,
        batch_sampler=[rows.tolist() for rows in batches],
        num_workers=num_workers,
        multiprocessing_context=worker_start_method(num_workers),
        collate_fn=batch_of,
        pin_memory=device.type == 'cuda',
    )
    bar = track(loader, title, disable=not title, total=len(batches))
    for batch, rows in zip(bar, batches):  # in this order the bar finishes
        yield rows, encoder(batch.to(device)).cpu().numpy()


def extract_split(
    encoder: 'Encoder',
    source: Source,
    crop: Crop,
    folder: Path,
    views: int = 0,
    seed: int = 0,
    dtype: str = 'float32',
    batch_size: int = 256,
    num_workers: int | None = None,
) -> Features:
    """Extract the features of a split, unless they are cached.

    The work is divided among all processes of a group, by the batches of a
    single process, so the features do not depend on the number of processes. On
    several nodes the folder must be shared.

    Args:
        encoder (Encoder): The network, on its device.
        source (Source): Images.
        crop (Crop): Crop of the images.
        folder (Path): Folder of the features; created only when complete.
        views (int): Random views of each image; 0 for the central crop only.
            Defaults to 0.
        seed (int): Seed of random views. Defaults to 0.
        dtype (str): Precision on disk, 'float32' or 'float16'. Defaults to
            'float32'.
        batch_size (int): Images per forward pass. Defaults to 256.
        num_workers (int, optional): Processes that load images, on each rank.
            Defaults to None: as many as cores, for files.

    Returns:
        Features: Memory-mapped features.

    Raises:
        InputError: If the folder has other features or can't be written, an
            image can't be read, or features are not finite.
    """
    header = header_of(encoder, source, crop, views, seed, dtype)
    if matching(folder, header):
        return read_features(folder)
    # unique to this run: another may extract the same features
    half = [folder.with_name(f'{folder.name}.{uuid4().hex}.half')]
    broadcast_object_list(half)
    images = [
        ImageViews(source, crop, view, seed)
        for view in (range(views) if views else [None])
    ]
    try:
        _extract(encoder, source, images, half[0], dtype, batch_size, num_workers)
        if is_main_process():
            (half[0] / 'header.json').write_text(json.dumps(header, indent=1) + '\n')
            try:
                half[0].replace(folder)
            except OSError:  # another run finished first
                if not matching(folder, header):
                    raise
        barrier()
    finally:
        if is_main_process():
            shutil.rmtree(half[0], ignore_errors=True)
    return read_features(folder)


def _extract(
    encoder: 'Encoder',
    source: Source,
    images: list[ImageViews],
    folder: Path,
    dtype: str,
    batch_size: int,
    num_workers: int | None,
) -> None:
    """Write the features of all views and the labels, by all processes."""
    rank, world = get_dist_info()
    device = next(encoder.parameters()).device
    dim = encoder(images[0][0][None].to(device)).shape[1]
    path = folder / 'features.npy'
    if rank == 0:
        try:
            folder.mkdir(parents=True)
            np.lib.format.open_memmap(
                path, 'w+', dtype, (len(images), len(source), dim)
            )
        except OSError as error:
            raise InputError(
                f"'{folder.parent}' can't be written ({error}): set another --features"
            ) from error
        if source.labels is not None:
            np.save(folder / 'labels.npy', source.labels.numpy())
    barrier()
    batches = torch.arange(len(source)).split(batch_size)[rank::world]
    if num_workers is None:
        # torchrun's ranks share the cores of a node, Slurm's do not
        ranks = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
        num_workers = 0 if source.kind == 'idx' else max(1, available_cores() // ranks)
    begin = np.load(path, mmap_mode='r').offset
    # no memory map: on a network drive, a page written by two ranks may lose
    # the part of one
    with path.open('r+b') as file:
        for number, view in enumerate(images):
            title = f'{source.split or source.kind}, view {number + 1} of {len(images)}'
            for rows, features in embed(
                encoder, view, batches, num_workers, '' if rank else title
            ):
                block = features.astype(dtype)  # [B, D]
                if not np.isfinite(block).all():
                    raise InputError(
                        f'features of images {int(rows[0])} to '
                        f'{int(rows[-1])} are not finite in {dtype}: check '
                        'the checkpoint, or set --dtype float32'
                    )
                rounding = np.linalg.norm(block - features, axis=1)
                if (rounding > 0.01 * np.linalg.norm(features, axis=1)).any():
                    raise InputError(
                        f'features of images {int(rows[0])} to '
                        f'{int(rows[-1])} are too small for {dtype}: the '
                        'rounding error exceeds 1 %, set --dtype float32'
                    )
                row = number * len(source) + int(rows[0])
                file.seek(begin + row * dim * block.itemsize)
                file.write(block.tobytes())
        file.flush()
        os.fsync(file.fileno())
    barrier()


@torch.no_grad()
def extract_features(
    backbone: nn.Module,
    images: Tensor,
    prepare: Callable[[Tensor], Tensor],
    batch_size: int = 500,
) -> Tensor:
    """Features of a backbone in eval mode, pooled over positions.

    Args:
        backbone (nn.Module): Backbone; its last feature map is used.
        images (Tensor): uint8 images, [N, C, H, W].
        prepare (Callable): Normalises a batch of images.
        batch_size (int): Images per forward pass. Defaults to 500.

    Returns:
        Tensor: Features, fp32, [N, D].
    """
    training = backbone.training
    backbone.eval()
    feats = [
        backbone(prepare(batch))[-1].float().mean((2, 3))  # [B, D]
        for batch in images.split(batch_size)
    ]
    backbone.train(training)
    return torch.cat(feats)
