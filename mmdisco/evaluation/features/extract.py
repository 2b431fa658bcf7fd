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
from mmdisco.utils import available_cores
from ..sources import Source
from .cache import Features, matching, read_features
from .views import Crop, ImageViews, batch_of

if TYPE_CHECKING:  # models to open, which a training does not need
    from .encoder import Encoder


def header_of(
    encoder: 'Encoder', source: Source, crop: Crop, views: int, seed: int, dtype: str
) -> dict:
    """What tells features from all others, in JSON's types."""
    drawn = list(crop) if views else list(crop[:-1])
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
        transform=drawn,
        views=views,
        seed=seed if views else None,
        dtype=dtype,
    )


def embed(
    encoder: 'Encoder',
    images: ImageViews,
    batches: Sequence[Tensor],
    num_workers: int = 0,
    told: str = '',
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Features of batches of images, one batch after the other.

    Args:
        encoder (Encoder): The network, on its device.
        images (ImageViews): One view of each image.
        batches (Sequence[Tensor]): Indices of the images in each, [B].
        num_workers (int): That read them. Defaults to 0.
        told (str): Name of the progress bar. Defaults to '': none is shown.

    Yields:
        tuple[Tensor, np.ndarray]: The indices, and their features, fp32,
        [B, D].
    """
    device = next(encoder.parameters()).device
    loader = DataLoader(
        images,
        batch_sampler=[rows.tolist() for rows in batches],
        num_workers=num_workers,
        collate_fn=batch_of,
        pin_memory=device.type == 'cuda',
    )
    bar = track(loader, told, disable=not told, total=len(batches))
    for batch, rows in zip(bar, batches):  # in this order the bar is ended
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
    """Features of a split on disk, extracted unless they are there already.

    All processes of a group take part. Each takes whole batches, the same as
    one process would, so the features do not depend on their number: no image
    is taken twice, none is lost. On several nodes the folder is one that all
    of them see.

    Args:
        encoder (Encoder): The network, on its device.
        source (Source): Images.
        crop (Crop): How they are cut.
        folder (Path): Where to write. It is there only when it is whole.
        views (int): Random views of each image; 0 for the middle alone.
            Defaults to 0.
        seed (int): Of random views. Defaults to 0.
        dtype (str): On disk, 'float32' or 'float16'. Defaults to 'float32'.
        batch_size (int): Images at once. Defaults to 256.
        num_workers (int, optional): That read them, for each process.
            Defaults to None: as many as cores, for files.

    Returns:
        Features: Memory-mapped.

    Raises:
        InputError: If the folder holds other features or can't be written,
            an image can't be read, or features are not finite.
    """
    header = header_of(encoder, source, crop, views, seed, dtype)
    if matching(folder, header):
        return read_features(folder)
    # of this run alone: another one may extract the same
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
            except OSError:  # another run was faster
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
                f"'{folder.parent}' can't be written ({error}): give another --features"
            ) from error
        if source.labels is not None:
            np.save(folder / 'labels.npy', source.labels.numpy())
    barrier()
    batches = torch.arange(len(source)).split(batch_size)[rank::world]
    if num_workers is None:
        # torchrun's ranks share the node's cores, Slurm's have their own
        ranks = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
        num_workers = 0 if source.kind == 'idx' else max(1, available_cores() // ranks)
    begin = np.load(path, mmap_mode='r').offset
    # plain writes: of a mapped page that two ranks share, one part may be
    # lost on a network drive
    with path.open('r+b') as file:
        for number, view in enumerate(images):
            told = f'{source.split or source.kind}, view {number + 1} of {len(images)}'
            for rows, features in embed(
                encoder, view, batches, num_workers, '' if rank else told
            ):
                block = features.astype(dtype)  # [B, D]
                if not np.isfinite(block).all():
                    raise InputError(
                        f'features of images {int(rows[0])} to '
                        f'{int(rows[-1])} are not finite in {dtype}: check '
                        'the checkpoint, or take --dtype float32'
                    )
                lost = np.linalg.norm(block - features, axis=1)
                if (lost > 0.01 * np.linalg.norm(features, axis=1)).any():
                    raise InputError(
                        f'features of images {int(rows[0])} to '
                        f'{int(rows[-1])} are too small for {dtype}, which '
                        'loses more than 1 % of one: take --dtype float32'
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
    """Pooled features of a frozen backbone, in eval mode.

    Args:
        backbone (nn.Module): Gives a tuple of maps, the last one is taken.
        images (Tensor): uint8 images, [N, C, H, W].
        prepare (Callable): Normalises a batch of them.
        batch_size (int): Images at once. Defaults to 500.

    Returns:
        Tensor: Means over positions, fp32, [N, D].
    """
    training = backbone.training
    backbone.eval()
    feats = [
        backbone(prepare(batch))[-1].float().mean((2, 3))  # [B, D]
        for batch in images.split(batch_size)
    ]
    backbone.train(training)
    return torch.cat(feats)
