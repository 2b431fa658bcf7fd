"""What a teacher store shall hold: its images, views and growth."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmdisco.checkpoints import check_teacher_file, sha256_of
from mmdisco.datasets.listing import EXTENSIONS
from mmdisco.datasets.photos import image_folder
from mmdisco.datasets.stored import images_of, read_header, versions_of
from mmdisco.datasets.stored.store import FORMAT, HEADER, PROBE, read_list
from mmdisco.errors import InputError
from mmdisco.launch.teacher_store import check_replay, teacher_of
from mmdisco.launch.views import plain, seen_kinds, views_of

DEFAULT_VIEWS = 20
# Embeddings of a shard: a 256th of all, within these bounds. A run that is killed
# loses the shards that were being written.
SMALLEST, LARGEST, SHARDS = 512, 65536, 256


@dataclass(frozen=True)
class StoreOptions:
    """How a store is written.

    Args:
        views (int, optional): Views of an image, K. Defaults to None: those of the
            store, else :data:`DEFAULT_VIEWS`.
        dtype (str, optional): 'fp16', 'int8' with a scale for each embedding, or
            'fp32'. Defaults to None: that of the store, else 'fp16'.
        seed (int, optional): Seed of all views. Defaults to None: that of the
            store, else 0.
        batch_size (int): Views in a pass of the teacher. Defaults to 64.
        workers (int, optional): Processes that load images, on each rank. Defaults
            to None, as many as cores.
        speed (str): 'auto', 'exact' or 'off'. Defaults to 'auto'.
        shard (int, optional): Images of a shard. Defaults to None, by the number of
            embeddings.
        check (int): Number of stored views that are computed again at the end.
            Defaults to 0.
        verify (bool): Whether to compare the checksums of all shards at the end.
            Defaults to False.
    """

    views: int | None = None
    dtype: str | None = None
    seed: int | None = None
    batch_size: int = 64
    workers: int | None = None
    speed: str = 'auto'
    shard: int | None = None
    check: int = 0
    verify: bool = False


class Listed(NamedTuple):
    """Images to be stored: path of their folder; paths and bytes by name."""

    root: str
    paths: dict[str, str]
    sizes: dict[str, int]


def list_stored(cfg: Config) -> Listed:
    """List the images of a config.

    Raises:
        InputError: If there are none, or a name has a line break.
    """
    dataset = cfg.train_dataloader.dataset
    root = str(
        image_folder(dataset.get('data_root', ''), dataset.get('data_prefix', ''))
    )
    images = images_of(root, dataset.get('extensions', EXTENSIONS))
    if not images.names:
        raise InputError(
            f"image folder '{root}' holds no image: name a folder of images"
        )
    for name in images.names:
        if '\n' in name or '\r' in name:
            raise InputError(
                f"image {name!r} in '{root}' has a name with a line break: rename it"
            )
    sizes = images.sizes
    if sizes is None:
        sizes = [os.path.getsize(path) for path in images.paths]
    return Listed(
        root, dict(zip(images.names, images.paths)), dict(zip(images.names, sizes))
    )


def plan_header(
    cfg: Config, folder: Path, images: Listed, options: StoreOptions, command: str
) -> dict[str, Any]:
    """Header of the store with the growth that is wanted.

    Args:
        cfg (Config): Config of a training with a teacher.
        folder (Path): The store, which may exist.
        images (Listed): Images of the config.
        options (StoreOptions): The options.
        command (str): Command that continues the store.

    Returns:
        dict: Without the width and accuracy of the embeddings if the store is new.
        Entries of ``growth`` that are new have the names of their images as 'new'.

    Raises:
        InputError: If the store is another one, or images are missing or changed.
    """
    before = read_header(folder) if (folder / HEADER).is_file() else None
    foreign = folder.is_dir() and any(not _is_own(p.name) for p in folder.iterdir())
    if before is None and foreign:
        raise InputError(
            f"'{folder}' exists and is not a teacher store: choose another --out"
        )
    if before is None:
        fast = options.speed == 'auto'
    else:
        fast = not before['images']['to_rgb']
    views = views_of(cfg, fast)
    seen = sorted(seen_kinds(cfg, views))
    teacher = cfg.model.teacher
    path = teacher.get('checkpoint')
    if not path:
        raise InputError('the teacher has no weights: set model.teacher.checkpoint')
    check_teacher_file(path, teacher.get('url'))
    preprocessor = cfg.get('data_preprocessor') or {}
    pipelines = [plain(views.pipelines[kind]) for kind in seen]
    header: dict[str, Any] = dict(
        format=FORMAT,
        seed=options.seed or 0,
        dtype=options.dtype or 'fp16',
        teacher=dict(
            teacher_of(cfg),
            file=Path(path).name,
            sha256=sha256_of(path),
            url=teacher.get('url'),
        ),
        images=dict(
            mean=plain(preprocessor.get('mean')),
            std=plain(preprocessor.get('std')),
            to_rgb=not views.rgb,
        ),
        kinds=[
            dict(recipe=views.recipes[kind], pipeline=pipeline)
            for kind, pipeline in zip(seen, pipelines)
        ],
        versions=versions_of(pipelines),
        command=command,
        growth=[],
    )
    if before is not None:
        _check_same(before, header, options, folder)
        check_replay(before, folder)
        header = before
    _grow(header, folder, images, options)
    return header


def _is_own(name: str) -> bool:
    """Whether a file is written before the header."""
    return name.startswith(('.half.', 'images-')) or name == PROBE


def _check_same(before: dict, now: dict, options: StoreOptions, folder: Path) -> None:
    """Check that a store to be continued is the one that is described."""
    given = dict(seed=options.seed, dtype=options.dtype)
    for name, value in given.items():
        if value is not None and value != before[name]:
            raise InputError(
                f"'{folder}' has --{name} {before[name]}, not {value}: leave it out, "
                'or choose another --out'
            )
    for part, what in dict(teacher='a teacher', images='images').items():
        for key, value in now[part].items():
            if key != 'url' and before[part][key] != value:
                raise InputError(
                    f"'{folder}' is of {what} with {key} {before[part][key]}, not "
                    f'{value}: choose another --out'
                )
    for key in ('recipe', 'pipeline'):
        old, new = ([kind[key] for kind in each['kinds']] for each in (before, now))
        if old != new:
            raise InputError(
                f"'{folder}' is of other views: its {key} is {json.dumps(old)}, now "
                f'{json.dumps(new)}: choose another --out'
            )


def _grow(header: dict, folder: Path, images: Listed, options: StoreOptions) -> None:
    """Add images and views that are new to the growth of a header."""
    growth = header['growth']
    old = [read_list(folder, entry) for entry in growth if entry['list']]
    stored = {n: s for names, sizes in old for n, s in zip(names, sizes)}
    now = images.sizes
    for name, size in stored.items():
        if name not in now:
            raise InputError(
                f"image '{name}' of the store '{folder}' is not in '{images.root}': "
                'restore it, or choose another --out'
            )
        if now[name] != size:
            raise InputError(
                f"image '{name}' has {now[name]} bytes, {size} when it was stored in "
                f"'{folder}': restore it, or choose another --out"
            )
    num = growth[-1]['views'] if growth else 0
    views = options.views or num or DEFAULT_VIEWS
    if views < num:
        raise InputError(
            f"the store '{folder}' has {num} views of each image, --views is {views}: "
            'leave --views out'
        )
    new = [name for name in now if name not in stored]
    if not new and views == num:
        return
    added = len(new) * views + len(stored) * (views - num)
    step = options.shard or _images_per_shard(added, max(views if new else 0, 1))
    entry = dict(
        images=len(stored) + len(new), views=views, images_per_shard=step, list=None
    )
    if new:
        number = sum(1 for each in growth if each['list'])
        entry['list'] = f'images-{number}.txt'
        entry['new'] = new
    growth.append(entry)


def _images_per_shard(embeddings: int, views: int) -> int:
    rows = min(max(embeddings // SHARDS, SMALLEST), LARGEST)
    return max(rows // views, 1)
