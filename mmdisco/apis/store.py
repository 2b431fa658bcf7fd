"""Writing of a teacher store: embeddings of replayed views, by any number of ranks."""

import copy
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, broadcast_object_list, get_dist_info, is_main_process
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmdisco.checkpoints import check_teacher_file, sha256_of
from mmdisco.datasets.decode import is_readable
from mmdisco.datasets.listing import EXTENSIONS, list_images
from mmdisco.datasets.photos import image_folder
from mmdisco.datasets.stored import (
    Store,
    ViewReplay,
    read_header,
    versions_of,
    view_seed,
)
from mmdisco.datasets.stored.store import (
    FORMAT,
    HEADER,
    PROBE,
    Shard,
    check_shard,
    decode,
    encode,
    identity_of,
    missing_shards,
    raise_damaged,
    read_list,
    record_dtype,
    shards_of,
    write_list,
)
from mmdisco.engine.hooks.progress import duration
from mmdisco.errors import InputError
from mmdisco.launch import LEVELS, apply_speed, read_config
from mmdisco.launch.teacher_store import (
    check_storable,
    check_versions,
    plain,
    seen_kinds,
    teacher_of,
    views_of,
)
from mmdisco.models import FrozenTeacher
from mmdisco.paths import configs_root
from mmdisco.utils import atomic_write, available_cores, worker_start_method
from mmdisco.zoo import teacher_config
from .distillation import WORTH_COMPILING, obtain_teacher
from .recipe import METHODS, set_size

DEFAULT_VIEWS = 20
# Embeddings of a shard: a 256th of all, within these bounds. A run that is killed
# loses the shards that were being written.
SMALLEST, LARGEST, SHARDS = 512, 65536, 256
# Lowest cosine of a stored embedding and one that is computed again. The rewritten
# teacher itself may differ by .001 (models/fast/teacher.py).
BOUNDS = dict(fp32=0.998, fp16=0.998, int8=0.99)
LOSS = 0.01  # largest share of an embedding's norm that rounding may change
PROBES = 4  # stored views of one image, of each kind
TRIAL = 12  # batches that are run and thrown away
OLD = 60  # seconds: a temporary file of this age was left by a killed process


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


def photos_config(
    photos: str, teacher: str, checkpoint: str | None = None, size: int = 224
) -> Config:
    """Config of the views that ``mmdisco distill`` draws of a folder of photos.

    Args:
        photos (str): Folder of images, at any depth.
        teacher (str): Name of the teacher. Its file is downloaded if it is missing.
        checkpoint (str, optional): File of the teacher. Defaults to None.
        size (int): Side of the crops in pixels. Defaults to 224.
    """
    init_default_scope('mmpretrain')
    cfg = read_config(str(configs_root() / METHODS['disco'].config))
    cfg.model.teacher = teacher_config(teacher)
    if checkpoint:
        cfg.model.teacher.checkpoint = checkpoint
    obtain_teacher(teacher, cfg.model.teacher, checkpoint)
    cfg.train_dataloader.dataset.update(data_root=photos, data_prefix='')
    set_size(cfg.train_dataloader.dataset.pipeline, size)
    return cfg


class _Images(NamedTuple):
    root: str
    names: list[str]
    sizes: list[int]


def store_teacher(
    cfg: Config, out: str | Path, options: StoreOptions, command: str
) -> Store:
    """Write, continue or extend a store, by all ranks.

    Args:
        cfg (Config): Config of a training with a teacher, or of
            :func:`photos_config`.
        out (str or Path): Folder of the store.
        options (StoreOptions): The options.
        command (str): Words that continue or extend the store, for messages.

    Returns:
        Store: The complete store.

    Raises:
        InputError: If the config's views or teacher can't be stored, the store is
            of others, or images are missing or have changed.
    """
    folder = Path(out).expanduser()
    console = Console(highlight=False, soft_wrap=True, quiet=not is_main_process())
    if options.speed not in LEVELS:
        raise InputError(f"speed is one of {', '.join(LEVELS)}, got '{options.speed}'")
    check_storable(cfg)
    images = _list(cfg)
    header = _header(cfg, folder, images, options, command)
    barrier()  # before the first rank writes
    work = _Work(cfg, folder, header, images, options, console)
    work.run()
    barrier()
    if options.check and is_main_process():
        work.check(options.check)
    barrier()
    return Store(folder)


def _list(cfg: Config) -> _Images:
    """Names and sizes of a config's images."""
    dataset = cfg.train_dataloader.dataset
    root = str(
        image_folder(dataset.get('data_root', ''), dataset.get('data_prefix', ''))
    )
    names, tally = list_images(root, dataset.get('extensions', EXTENSIONS))
    if not names:
        raise InputError(f"image folder '{root}' holds no image: {tally.reasons()}")
    for name in names:
        if '\n' in name or '\r' in name:
            raise InputError(
                f"image {name!r} in '{root}' has a name with a line break: rename it"
            )
    sizes = [os.path.getsize(os.path.join(root, name)) for name in names]
    return _Images(root, names, sizes)


def _header(
    cfg: Config, folder: Path, images: _Images, options: StoreOptions, command: str
) -> dict[str, Any]:
    """Header of the store with the growth that is wanted.

    Width and accuracy of the embeddings are still to be set if it is new.
    """
    before = read_header(folder) if (folder / HEADER).is_file() else None
    if before is None and folder.is_dir() and any(folder.iterdir()):
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
        check_versions(before, folder)
        header = before
    _grow(header, folder, images, options)
    return header


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


def _grow(header: dict, folder: Path, images: _Images, options: StoreOptions) -> None:
    """Add images and views that are new to the growth of a header."""
    growth = header['growth']
    old = [read_list(folder, entry) for entry in growth if entry['list']]
    stored = {n: s for names, sizes in old for n, s in zip(names, sizes)}
    now = dict(zip(images.names, images.sizes))
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
    new = [name for name in images.names if name not in stored]
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


class _Batch(NamedTuple):
    """Some images of a shard.

    Attributes:
        shard (Shard): The shard.
        rows (range): Images.
    """

    shard: Shard
    rows: range


class _ViewBatches(Dataset):
    """Batches of replayed views: uint8 [N * V, 3, H, W], and the unreadable images."""

    def __init__(
        self, header: dict, images: _Images, order: Sequence[str], batches: list[_Batch]
    ) -> None:
        self.replay = ViewReplay([kind['pipeline'] for kind in header['kinds']])
        self.seed = header['seed']
        self.root, self.order = images.root, order
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
        path = os.path.join(self.root, name)
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


class _Work:
    """The work of one rank.

    Args:
        cfg (Config): The config.
        folder (Path): Folder of the store.
        header (dict): Header with the growth that is wanted.
        images (_Images): All images.
        options (StoreOptions): The options.
        console (Console): For the user.
    """

    def __init__(
        self,
        cfg: Config,
        folder: Path,
        header: dict,
        images: _Images,
        options: StoreOptions,
        console: Console,
    ) -> None:
        self.cfg, self.folder, self.header = cfg, folder, header
        self.images, self.options, self.console = images, options, console
        self.device = torch.device(get_device())
        self.order = [  # names in the order of the store
            name
            for entry in header['growth']
            if entry['list']
            for name in (entry.get('new') or read_list(folder, entry)[0])
        ]
        preprocessor = dict(type='SelfSupDataPreprocessor', **header['images'])
        self.preprocessor = MODELS.build(preprocessor).to(self.device)
        self.teacher: FrozenTeacher | None = None
        self.size = options.batch_size

    def run(self) -> None:
        """Write what is missing."""
        new = any('new' in entry for entry in self.header['growth'])
        grown = new or self._grown()
        if not grown:
            missing = missing_shards(self.folder, self.header)
            if not missing:
                self._say('complete', self._counts())
                self._verify()
                return
        accuracy, seconds = self._trial()
        self.header.setdefault('accuracy', accuracy)
        self._write_header()
        missing = missing_shards(self.folder, self.header)
        self._plan(missing, seconds)
        rank, world = get_dist_info()
        self._write_shards(missing[rank::world])
        barrier()
        if is_main_process():
            for half in self.folder.glob('.half.*'):
                if half.stat().st_mtime < time.time() - OLD:
                    half.unlink(missing_ok=True)
        self._verify()
        self._say('complete', self._counts())

    def _grown(self) -> bool:
        path = self.folder / HEADER
        return (
            not path.is_file()
            or read_header(self.folder)['growth'] != self.header['growth']
        )

    def _say(self, what: str, text: str) -> None:
        self.console.print(f'{what:9} {text}', markup=False)

    def _counts(self) -> str:
        last = self.header['growth'][-1]
        kinds = len(self.header['kinds'])
        return (
            f'{last["images"]} images, {last["views"]} views of '
            + (f'each of {kinds} kinds' if kinds > 1 else 'each')
            + f", {self.header['dtype']}, in '{self.folder}'"
        )

    def _build_teacher(self, speed: str, compile: bool = False) -> FrozenTeacher:
        """The teacher, rewritten for speed or plain."""
        cfg = copy.deepcopy(self.cfg)
        apply_speed(cfg, speed, compile)
        teacher = MODELS.build(cfg.model.teacher).to(self.device)
        teacher.match_normalisation(self.preprocessor)
        return teacher

    def _embed(self, teacher: nn.Module, pixels: Tensor) -> Tensor:
        """Embed views in batches of one size, uint8 [N, 3, H, W] to fp32 [N, D]."""
        parts = []
        for part in pixels.split(self.size):
            rest = self.size - len(part)
            batch = torch.cat([part, part[-1:].expand(rest, -1, -1, -1)])
            data = dict(inputs=[batch.to(self.device)], data_samples=None)
            (inputs,) = self.preprocessor(data)['inputs']
            parts.append(teacher(inputs)[: len(part)].float().cpu())
        return torch.cat(parts)

    def _batches(self, shards: Sequence[Shard]) -> list[_Batch]:
        """Batches of all shards, of about as many views as a pass takes."""
        batches = []
        for shard in shards:
            step = max(self.size // (shard.last - shard.first), 1)
            for start in range(shard.start, shard.stop, step):
                rows = range(start, min(start + step, shard.stop))
                batches.append(_Batch(shard, rows))
        return batches

    def _loader(
        self, batches: list[_Batch]
    ) -> Iterator[tuple[list[Tensor | None], list[int]]]:
        workers = self.options.workers
        if workers is None:
            # torchrun's ranks share the cores of a node
            ranks = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
            workers = max(1, available_cores() // ranks)
        return DataLoader(  # type: ignore[return-value]
            _ViewBatches(self.header, self.images, self.order, batches),
            batch_size=None,
            num_workers=min(workers, len(batches)),
            multiprocessing_context=worker_start_method(workers),
            worker_init_fn=_no_threads,
            pin_memory=self.device.type == 'cuda',
        )

    def _trial(self) -> tuple[dict, float]:
        """Accuracy of what is stored, and seconds of a view, from a few batches."""
        shards = list(shards_of(self.header))
        if self.header['growth'] and (self.folder / HEADER).is_file():
            shards = missing_shards(self.folder, self.header) or shards
        batches = self._batches(shards[:1])
        batches = (batches * TRIAL)[:TRIAL]
        self.teacher = self._build_teacher(self.options.speed)
        first: Tensor | None = None
        seconds, views = 0.0, 0
        start = time.perf_counter()
        for number, (parts, _) in enumerate(self._loader(batches)):
            readable = [part for part in parts if part is not None]
            if not readable:
                continue
            pixels = torch.cat(readable)
            self._embed(self.teacher, pixels)
            if first is None:
                first = pixels
            if self.device.type == 'cuda':
                torch.cuda.synchronize()
            if number:
                views += len(pixels)
                seconds = time.perf_counter() - start
            else:
                start = time.perf_counter()
        if first is None:
            raise InputError(
                f"none of the first images in '{self.images.root}' can be read: remove "
                'them (mmdisco check lists unreadable ones)'
            )
        if 'accuracy' in self.header:
            return {}, seconds / max(views, 1)
        fast = self._embed(self.teacher, first[: self.size])
        exact = self._embed(self._build_teacher('off'), first[: self.size])
        self.header['teacher'].update(
            width=fast.shape[1],
            own_normalisation=self.teacher.renormalize.mean is not None,
        )
        dtype = self.header['dtype']
        rounded = torch.from_numpy(decode(encode(fast.numpy(), dtype)))
        loss = ((rounded - fast).norm(dim=1) / fast.norm(dim=1)).max().item()
        if not rounded.isfinite().all() or (dtype == 'fp16' and loss > LOSS):
            raise InputError(
                f'the embeddings lose {100 * loss:.1f} % in {dtype}: set --dtype fp32'
            )
        accuracy = dict(
            views=len(fast),
            dtype=_lowest_cosine(rounded, fast),
            speed=_lowest_cosine(fast, exact),
        )
        self._say(
            'accuracy',
            f'lowest cosine of {len(fast)} views: {accuracy["dtype"]:.6f} of {dtype} '
            f'and fp32, {accuracy["speed"]:.6f} of --speed {self.options.speed} and '
            'the plain teacher',
        )
        return accuracy, seconds / max(views, 1)

    def _write_header(self) -> None:
        """Write lists of images, probe and header, on the first rank."""
        header = self.header
        if is_main_process():
            self.folder.mkdir(parents=True, exist_ok=True)
            sizes = dict(zip(self.images.names, self.images.sizes))
            for entry in header['growth']:
                new = entry.pop('new', None)
                if new is None:
                    continue
                path = self.folder / entry['list']
                with atomic_write(path, durable=True) as half:
                    write_list(half, new, [sizes[name] for name in new])
                    entry['sha256'] = hashlib.sha256(half.read_bytes()).hexdigest()
            if not (self.folder / PROBE).is_file():
                self._write_probe()
            header['identity'] = identity_of(header)
            header.setdefault('written', []).append(
                dict(
                    speed=self.options.speed,
                    teacher=self._options_of_teacher(),
                    device=str(self.device),
                )
            )
            with atomic_write(self.folder / HEADER, durable=True) as half:
                half.write_text(json.dumps(header, indent=1) + '\n')
        shared = [header]
        broadcast_object_list(shared)
        self.header = shared[0]
        barrier()

    def _options_of_teacher(self) -> dict:
        cfg = copy.deepcopy(self.cfg)
        apply_speed(cfg, self.options.speed, False)
        names = ('fuse', 'dtype', 'channels_last')
        return {n: cfg.model.teacher[n] for n in names if n in cfg.model.teacher}

    def _write_probe(self) -> None:
        """Write an image and some views of it, to test the replay elsewhere."""
        replay = ViewReplay([kind['pipeline'] for kind in self.header['kinds']])
        for name in self.order:
            path = os.path.join(self.images.root, name)
            if not is_readable(path):
                continue
            content = Path(path).read_bytes()
            seeds = [view_seed(self.header['seed'], name, 0, v) for v in range(PROBES)]
            views: Any = {
                f'kind{kind}': torch.stack(
                    replay.views(path, [(kind, seed) for seed in seeds])
                ).numpy()
                for kind in range(len(replay.kinds))
            }
            with atomic_write(self.folder / PROBE, durable=True) as half:
                np.savez(
                    half,
                    image=np.frombuffer(content, np.uint8),
                    seeds=np.array(seeds, np.uint64),
                    **views,
                )
            return

    def _plan(self, missing: Sequence[Shard], seconds: float) -> None:
        """Print images, views, bytes and time; compile if that pays."""
        _, world = get_dist_info()
        rows = sum(shard.rows for shard in missing)
        item = record_dtype(self.header['dtype'], self.header['teacher']['width'])
        total = rows * seconds / world
        shared = [total >= WORTH_COMPILING and self.options.speed != 'off']
        broadcast_object_list(shared)
        if shared[0]:
            self.teacher = self._build_teacher(self.options.speed, compile=True)
        size, free = rows * item.itemsize, shutil.disk_usage(self.folder).free
        if size > free:
            raise InputError(
                f"the store needs {_bytes(size)} in '{self.folder}', {_bytes(free)} "
                'are free: choose another --out, fewer --views, or --dtype int8'
            )
        teacher = self.header['teacher']
        self._say('teacher', f'{teacher["file"]}, embedding of {teacher["width"]}')
        self._say('store', self._counts())
        self._say(
            'estimate',
            f'{rows} embeddings in {len(missing)} shards, {_bytes(size)}, '
            f'{duration(total)} ({1 / max(seconds, 1e-9):.0f} views per second'
            + (f' on each of {world} ranks)' if world > 1 else ')'),
        )

    def _write_shards(self, shards: Sequence[Shard]) -> None:
        """Embed and write the shards of this rank, one after the other."""
        assert self.teacher is not None
        batches = self._batches(shards)
        if not batches:
            return
        bar = track(
            zip(batches, self._loader(batches)),
            'views',
            total=len(batches),
            disable=not is_main_process(),
        )
        parts: list[Tensor | None] = []
        unreadable: list[int] = []
        pending: list[Tensor] = []  # views that no pass has taken yet
        embeds: list[Tensor] = []
        for batch, (views, broken) in bar:
            parts += [None if part is None else part[:0] for part in views]
            unreadable += broken
            pending += [part for part in views if part is not None]
            last = batch.rows.stop == batch.shard.stop
            waiting = sum(map(len, pending))
            if pending and (last or waiting >= self.size):
                pixels = torch.cat(pending)
                full = len(pixels) if last else waiting // self.size * self.size
                embeds.append(self._embed(self.teacher, pixels[:full]))
                pending = [pixels[full:]] if full < waiting else []
            if last:
                self._write_shard(batch.shard, parts, embeds, unreadable)
                parts, unreadable, pending, embeds = [], [], [], []

    def _write_shard(
        self,
        shard: Shard,
        parts: Sequence[Tensor | None],
        embeds: Sequence[Tensor],
        unreadable: Sequence[int],
    ) -> None:
        """Write a shard, then its sidecar: without one, a shard does not exist."""
        views, width = shard.last - shard.first, self.header['teacher']['width']
        rows = torch.full((len(parts), views, width), float('nan'))
        readable = [i for i, part in enumerate(parts) if part is not None]
        if readable:
            rows[readable] = torch.cat(list(embeds)).view(-1, views, width)
            if not rows[readable].isfinite().all():
                raise InputError(
                    f'embeddings of images {shard.start} to {shard.stop - 1} are not '
                    'finite: check the checkpoint, or set --speed off'
                )
        for row in unreadable:
            self.console.print(
                f"warning   '{self.order[row]}' can't be read: it has no embedding",
                markup=False,
            )
        dtype = self.header['dtype']
        with np.errstate(invalid='ignore'):
            encoded = encode(rows.view(-1, width).numpy(), dtype)
        encoded = encoded.reshape(len(parts), views, *encoded.shape[1:])
        path = self.folder / f'{shard.name}.npy'
        with atomic_write(path, shared=True, durable=True) as half:
            np.save(half, encoded)
            side = dict(
                store=self.header['identity'],
                shard=list(shard),
                bytes=half.stat().st_size,
                sha256=sha256_of(half),
                unreadable=[self.order[row] for row in unreadable],
            )
        with atomic_write(path.with_suffix('.json'), shared=True, durable=True) as half:
            half.write_text(json.dumps(side) + '\n')

    def _verify(self) -> None:
        if not (self.options.verify and is_main_process()):
            return
        shards = list(shards_of(self.header))
        for shard in track(shards, 'checksums', disable=not is_main_process()):
            state = check_shard(self.folder, self.header, shard, content=True)
            if state != 'whole':
                raise_damaged(self.folder, shard, state)
        self._say('verified', f'checksums of {len(shards)} shards')

    def check(self, num: int) -> None:
        """Compute some stored embeddings again and compare.

        Args:
            num (int): Number of views.

        Raises:
            InputError: If one differs.
        """
        store = Store(self.folder)
        rng = np.random.default_rng(time.time_ns())
        teacher = self._build_teacher('off')
        dataset = _ViewBatches(self.header, self.images, store.names, [])
        lowest, compared = 1.0, 0
        for _ in track(range(num), 'check'):
            row, view = (int(rng.integers(n)) for n in (len(store), store.num_views))
            kind = int(rng.integers(len(self.header['kinds'])))
            pixels = dataset.views(row, kind, [view])
            stored = torch.from_numpy(store.embeds(row, kind, [view]))
            if pixels is None or not stored.isfinite().all():
                continue
            cosine = _lowest_cosine(self._embed(teacher, pixels), stored)
            compared += 1
            lowest = min(lowest, cosine)
            bound = BOUNDS[store.header['dtype']]
            if cosine < bound:
                raise InputError(
                    f"view {view} of '{store.names[row]}' has a cosine of {cosine:.4f} "
                    f"with its embedding in '{self.folder}', below {bound}: the store "
                    'is of another teacher or other views, write it again'
                )
        self._say(
            'checked',
            f'{compared} views computed again, lowest cosine {lowest:.6f}',
        )


def _lowest_cosine(a: Tensor, b: Tensor) -> float:
    return F.cosine_similarity(a.double(), b.double()).min().item()


def _bytes(number: float) -> str:
    for unit in ('B', 'kB', 'MB', 'GB'):
        if number < 1000:
            return f'{number:.3g} {unit}'
        number /= 1000
    return f'{number:.3g} TB'


def command_of(words: Sequence[str]) -> str:
    """The command that continues a store, for its header."""
    return shlex.join(['mmdisco', 'store', *words])
