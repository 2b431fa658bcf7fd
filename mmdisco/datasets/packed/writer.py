"""Writing of shards in WebDataset's format."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch.utils.data import DataLoader

from mmdisco.errors import InputError
from mmdisco.utils import atomic_write, worker_start_method
from .encode import Encoded, EncodedPhotos
from .index import PackedImages, Shard
from .tar import read_tar

PLAN = '.packing.json'  # there while shards are being written


@dataclass
class Plan:
    """What is packed into which shard.

    Args:
        names (list[str]): Paths of the images, sorted.
        labels (list[int], optional): Class indices of the images.
        classes (list[str]): Names of the classes.
        per_shard (int): Images of a shard.
        seed (int): Seed of the order.
        settings (dict): How the images are encoded, for the index.
    """

    names: list[str]
    labels: list[int] | None
    classes: list[str]
    per_shard: int
    seed: int
    settings: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = np.random.default_rng(self.seed).permutation(len(self.names))
        self.order = order.tolist()
        self.number = -(-len(order) // self.per_shard)

    def indices(self, shard: int) -> list[int]:
        """Images of a shard, in their order."""
        start = shard * self.per_shard
        return self.order[start : start + self.per_shard]


def shard_name(shard: int) -> str:
    """File name of a shard."""
    return f'shards-{shard:06d}.tar'


def _note(out: Path, shard: int) -> Path:
    """File that says that a shard is complete; removed when all are."""
    return out / f'.{shard_name(shard)}.json'


def read_note(out: Path, shard: int) -> dict | None:
    """Facts of a complete shard, None if it has to be written.

    Args:
        out (Path): Folder of the shards.
        shard (int): Its number.
    """
    try:
        note = json.loads(_note(out, shard).read_text())
        size = (out / shard_name(shard)).stat().st_size
    except (OSError, ValueError):
        return None
    return note if size == note['bytes'] else None


class _Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.file.write(data)


def write_shards(
    photos: EncodedPhotos, plan: Plan, out: Path, workers: int
) -> Iterator[Encoded]:
    """Write the shards that are missing, one after the other.

    A shard gets its name when it is complete. It is made by ``TarWriter`` of the
    package webdataset: for the image of index 7 ``000000007.jpg``,
    ``000000007.json`` with its path and, with classes, ``000000007.cls``. Equal
    images and settings give equal bytes.

    Args:
        photos (EncodedPhotos): The images.
        plan (Plan): The shards.
        out (Path): Folder to write.
        workers (int): Processes that encode images.

    Yields:
        Encoded: Each image, written or unreadable.
    """
    from webdataset import TarWriter

    missing = [k for k in range(plan.number) if read_note(out, k) is None]
    images = iter(
        DataLoader(
            photos,
            batch_size=None,
            sampler=[i for shard in missing for i in plan.indices(shard)],
            num_workers=workers,
            multiprocessing_context=worker_start_method(workers),
            collate_fn=_as_it_is,
            prefetch_factor=8 if workers else None,
        )
    )
    for shard in missing:
        unreadable, copied = {}, 0
        indices = plan.indices(shard)
        with atomic_write(out / shard_name(shard)) as half:
            with open(half, 'wb') as file:
                hashed = _Hashed(file)
                with TarWriter(
                    hashed, user='', group='', mtime=0, encoder=False
                ) as tar:
                    for _ in indices:
                        image = next(images)
                        if image.problem:
                            unreadable[plan.names[image.index]] = image.problem
                        else:
                            tar.write(_sample(image, plan))
                            copied += image.copied
                        yield image
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
        with atomic_write(_note(out, shard)) as half:
            facts = dict(
                bytes=size,
                sha256=hashed.digest.hexdigest(),
                images=len(indices) - len(unreadable),
                copied=copied,
                unreadable=unreadable,
            )
            half.write_text(json.dumps(facts))


def _as_it_is(item: Any) -> Any:
    return item


def _sample(image: Encoded, plan: Plan) -> dict[str, str | bytes]:
    """The files of an image, by their endings."""
    fields = dict(path=plan.names[image.index], **(image.fields or {}))
    sample: dict[str, str | bytes] = {
        '__key__': f'{image.index:09d}',
        image.extension: image.content,
    }
    if plan.labels is not None:
        label = plan.labels[image.index]
        fields['class'] = plan.classes[label]
        sample['cls'] = str(label).encode()
    sample['json'] = json.dumps(fields).encode()
    return sample


def finish(plan: Plan, out: Path) -> PackedImages:
    """Write the index of complete shards.

    Args:
        plan (Plan): The shards.
        out (Path): Their folder.

    Returns:
        PackedImages: The index.

    Raises:
        InputError: If no image could be read.
    """
    shards, rows, unreadable, copied = [], [], {}, 0
    for number in range(plan.number):
        note = read_note(out, number)
        assert note is not None  # written above
        unreadable.update(note['unreadable'])
        copied += note['copied']
        if not note['images']:
            (out / shard_name(number)).unlink()
            continue
        shards.append(
            Shard(shard_name(number), note['images'], note['bytes'], note['sha256'])
        )
        for entry, member in read_tar(out / shard_name(number)):
            key, ending = entry.name.split('.')
            if ending not in ('cls', 'json'):
                rows.append((int(key), len(shards) - 1, member.start, member.size))
    if not rows:
        reason = next(iter(unreadable.items()))
        raise InputError(
            f'none of the {len(plan.names)} images can be read, e.g. '
            f"'{reason[0]}': {reason[1]}"
        )
    index, shard, start, size = np.array(sorted(rows)).T  # [N] each
    labels = None if plan.labels is None else np.array(plan.labels)[index]
    images = PackedImages(
        str(out),
        shards,
        [plan.names[i] for i in index],
        shard,
        start,
        size,
        labels,
        plan.classes,
        dict(
            plan.settings,
            seed=plan.seed,
            copied=copied,
            encoded=len(rows) - copied,
            unreadable=unreadable,
        ),
    )
    images.write()
    for number in range(plan.number):
        _note(out, number).unlink(missing_ok=True)
    (out / PLAN).unlink(missing_ok=True)
    return images
