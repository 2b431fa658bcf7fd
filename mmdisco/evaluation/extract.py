import json
import shutil
from pathlib import Path
from typing import Iterator, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from mmdisco.launch import available_cores
from .cache import Features, matching, read_features
from .encoder import Encoder
from .sources import Source
from .views import Crop, ImageViews, batch_of


def header_of(encoder: Encoder, source: Source, crop: Crop, views: int,
              seed: int, dtype: str) -> dict:
    """What tells features from all others, in JSON's types."""
    drawn = list(crop) if views else list(crop[:-1])
    return dict(
        model=encoder.name, sha256=encoder.sha256,
        normalisation=list(encoder.normalisation), data=source.fingerprint(),
        root=source.root, split=source.split, num=len(source),
        classes=source.classes, transform=drawn, views=views,
        seed=seed if views else None, dtype=dtype)


def embed(encoder: Encoder,
          images: ImageViews,
          batches: Sequence[Tensor],
          num_workers: int = 0,
          told: str = '') -> Iterator[Tuple[Tensor, np.ndarray]]:
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
        images, batch_sampler=[rows.tolist() for rows in batches],
        num_workers=num_workers, collate_fn=batch_of,
        pin_memory=device.type == 'cuda')
    bar = track(loader, told, disable=not told, total=len(batches))
    for batch, rows in zip(bar, batches):  # in this order the bar is ended
        yield rows, encoder(batch.to(device)).cpu().numpy()


def extract_split(encoder: Encoder,
                  source: Source,
                  crop: Crop,
                  folder: Path,
                  views: int = 0,
                  seed: int = 0,
                  dtype: str = 'float32',
                  batch_size: int = 256,
                  num_workers: Optional[int] = None) -> Features:
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
        InputError: If the folder holds other features, or an image can't be
            read.
    """
    header = header_of(encoder, source, crop, views, seed, dtype)
    if matching(folder, header):
        return read_features(folder)
    rank, world = get_dist_info()
    half = folder.with_name(f'{folder.name}.half')
    device = next(encoder.parameters()).device
    blank = ImageViews(source, crop, 0 if views else None, seed)[0]
    dim = encoder(blank[None].to(device)).shape[1]
    shape = max(views, 1), len(source), dim
    if rank == 0:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        np.lib.format.open_memmap(half / 'features.npy', 'w+', dtype, shape)
        if source.labels is not None:
            np.save(half / 'labels.npy', source.labels.numpy())
    barrier()
    out = np.load(half / 'features.npy', mmap_mode='r+')  # [V, N, D]
    batches = torch.arange(len(source)).split(batch_size)[rank::world]
    if num_workers is None:
        num_workers = 0 if source.kind == 'idx' else available_cores()
    for view in range(shape[0]):
        told = f'{source.split or source.kind}, view {view + 1} of {shape[0]}'
        for rows, features in embed(
                encoder,
                ImageViews(source, crop, view if views else None, seed),
                batches, num_workers, '' if rank else told):
            out[view, rows] = features
    out.flush()
    del out
    barrier()
    if rank == 0:
        (half / 'header.json').write_text(json.dumps(header, indent=1) + '\n')
        half.replace(folder)
    barrier()
    return read_features(folder)
