"""Writing of a teacher store: embeddings of replayed views, by any number of ranks."""

import hashlib
import json
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine import fileio
from mmengine.config import Config
from mmengine.dist import (
    all_gather_object,
    barrier,
    broadcast_object_list,
    get_dist_info,
    is_main_process,
)
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmdisco.datasets.decode import is_readable
from mmdisco.datasets.stored import Store, ViewReplay, read_header, view_seed
from mmdisco.datasets.stored.store import (
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
from mmdisco.launch import LEVELS, read_config
from mmdisco.launch.teacher_store import check_storable
from mmdisco.models import FrozenTeacher
from mmdisco.paths import configs_root
from mmdisco.utils import atomic_write
from mmdisco.zoo import teacher_config
from .distillation import WORTH_COMPILING, in_bytes, obtain_teacher
from .recipe import METHODS, set_size
from .store_header import Listed, StoreOptions, list_stored, plan_header
from .store_shards import Embedder, write_shards

# Lowest cosine of a stored embedding and one that is computed again. The rewritten
# teacher itself may differ by .001 (models/fast/teacher.py).
BOUNDS = dict(fp32=0.998, fp16=0.998, int8=0.99)
LOSS = 0.01  # largest share of an embedding's norm that fp16 may change
PROBES = 4  # stored views of one image, of each kind
TRIAL = 12  # batches that are run and thrown away
OLD = 60  # seconds: a temporary file of this age was left by a killed process
MOST = 10  # names in a warning


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


def command_of(words: Sequence[str]) -> str:
    """The command that continues a store, for its header."""
    return shlex.join(['mmdisco', 'store', *words])


def store_teacher(
    cfg: Config, out: str | Path, options: StoreOptions, command: str
) -> Store:
    """Write, continue or extend a store, by all ranks.

    Args:
        cfg (Config): Config of a training with a teacher, or of
            :func:`photos_config`.
        out (str or Path): Folder of the store.
        options (StoreOptions): The options.
        command (str): Command that continues or extends the store, for messages.

    Returns:
        Store: The complete store.

    Raises:
        InputError: If the config's views or teacher can't be stored, the store is
            of others, or images are missing or have changed.
    """
    folder = Path(out).expanduser()
    if options.speed not in LEVELS:
        raise InputError(f"speed is one of {', '.join(LEVELS)}, got '{options.speed}'")
    check_storable(cfg)
    images = list_stored(cfg)
    header = plan_header(cfg, folder, images, options, command)
    barrier()  # before the first rank writes
    work = _Work(cfg, folder, header, images, options)
    work.run()
    barrier()
    if is_main_process():
        if options.verify:
            work.verify()
        if options.check:
            work.check(options.check)
    barrier()
    return Store(folder)


class _Work:
    """The work of one rank.

    Args:
        cfg (Config): The config.
        folder (Path): Folder of the store.
        header (dict): Header with the growth that is wanted.
        images (Listed): All images.
        options (StoreOptions): The options.
    """

    def __init__(
        self,
        cfg: Config,
        folder: Path,
        header: dict,
        images: Listed,
        options: StoreOptions,
    ) -> None:
        self.folder, self.header, self.images = folder, header, images
        self.options = options
        self.console = Console(
            highlight=False, soft_wrap=True, quiet=not is_main_process()
        )
        self.order = [  # in the order of the store
            name
            for entry in header['growth']
            if entry['list']
            for name in (entry.get('new') or read_list(folder, entry)[0])
        ]
        self.embedder = Embedder(
            cfg, header, images.paths, self.order, options.batch_size, options.workers
        )

    def run(self) -> None:
        """Write what is missing."""
        is_new = 'identity' not in self.header
        before = [] if is_new else read_header(self.folder)['growth']
        if before == self.header['growth']:
            if not missing_shards(self.folder, self.header):
                self._say('complete', self._counts())
                return
        teacher, seconds = self._trial(is_new)
        self._write_header(is_new)
        missing = missing_shards(self.folder, self.header)
        self._plan(missing, seconds)
        rank, world = get_dist_info()
        seconds *= sum(shard.rows for shard in missing) / world
        shared = [seconds >= WORTH_COMPILING and self.options.speed != 'off']
        broadcast_object_list(shared)
        if shared[0]:
            teacher = self.embedder.build_teacher(self.options.speed, compile=True)
        batches = self.embedder.batches(missing[rank::world])
        broken: list[str] = []
        if batches:
            bar = track(
                zip(batches, self.embedder.loader(batches)),
                'views',
                total=len(batches),
                disable=not is_main_process(),
            )
            broken = write_shards(self.folder, self.header, self.embedder, teacher, bar)
        barrier()
        self._warn(sorted(sum(all_gather_object(broken), [])))
        if is_main_process():
            for half in self.folder.glob('.half.*'):
                if half.stat().st_mtime < time.time() - OLD:
                    half.unlink(missing_ok=True)
        self._say('complete', self._counts())

    def _say(self, what: str, text: str) -> None:
        self.console.print(f'{what:9} {text}', markup=False)

    def _counts(self) -> str:
        last = self.header['growth'][-1]
        kinds = len(self.header['kinds'])
        return (
            f'{last["images"]} images, {last["views"]} views of each'
            + (f' and of each of {kinds} kinds' if kinds > 1 else '')
            + f", {self.header['dtype']}, in '{self.folder}'"
        )

    def _warn(self, broken: Sequence[str]) -> None:
        """Name images that can't be read."""
        if broken:
            listed = ', '.join(f"'{name}'" for name in broken[:MOST])
            more = f' and {len(broken) - MOST} more' if len(broken) > MOST else ''
            self._say(
                'warning',
                f"{len(broken)} images can't be read and have no embedding: "
                f'{listed}{more}',
            )

    def _trial(self, is_new: bool) -> tuple[FrozenTeacher, float]:
        """Run a few batches; build the teacher and measure the seconds of a view.

        For a new store, width and accuracy of the embeddings enter the header.
        """
        batches = self.embedder.batches([next(shards_of(self.header))])
        batches = (batches * TRIAL)[:TRIAL]
        teacher = self.embedder.build_teacher(self.options.speed)
        first: Tensor | None = None
        views, seconds, start = 0, 0.0, 0.0
        for parts, _ in self.embedder.loader(batches):
            readable = [part for part in parts if part is not None]
            if not readable:
                continue
            pixels = torch.cat(readable)
            self.embedder.embed(teacher, pixels)  # waits for the device
            now = time.perf_counter()
            if first is None:  # it waits for everything to start
                first, start = pixels, now
            else:
                views, seconds = views + len(pixels), now - start
        if first is None:
            raise InputError(
                f"none of the first images in '{self.images.root}' can be read: remove "
                "them ('mmdisco check' lists unreadable ones)"
            )
        if is_new:
            self._measure(teacher, first[: self.options.batch_size])
        return teacher, seconds / max(views, 1)

    def _measure(self, teacher: FrozenTeacher, pixels: Tensor) -> None:
        """Compare what will be stored with the plain teacher, in the header."""
        fast = self.embedder.embed(teacher, pixels)  # [N, D]
        exact = self.embedder.embed(self.embedder.build_teacher('off'), pixels)
        dtype = self.header['dtype']
        rounded = torch.from_numpy(decode(encode(fast.numpy(), dtype)))
        loss = ((rounded - fast).norm(dim=1) / fast.norm(dim=1)).max().item()
        if not rounded.isfinite().all() or (dtype == 'fp16' and loss > LOSS):
            raise InputError(
                f'the embeddings lose {100 * loss:.1f} % in {dtype}: set --dtype fp32'
            )
        self.header['teacher'].update(
            width=fast.shape[1],
            own_normalisation=teacher.renormalize.mean is not None,
        )
        self.header['accuracy'] = accuracy = dict(
            views=len(fast),
            dtype=lowest_cosine(rounded, fast),
            speed=lowest_cosine(fast, exact),
        )
        self._say(
            'accuracy',
            f'lowest cosine of {len(fast)} views: {accuracy["dtype"]:.6f} of {dtype} '
            f'and fp32, {accuracy["speed"]:.6f} of --speed {self.options.speed} and '
            'the plain teacher',
        )

    def _write_header(self, is_new: bool) -> None:
        """Write lists of images, probe and header, on the first rank."""
        header = self.header
        if is_main_process():
            self.folder.mkdir(parents=True, exist_ok=True)
            sizes = self.images.sizes
            for entry in header['growth']:
                new = entry.pop('new', None)
                if new is None:
                    continue
                path = self.folder / entry['list']
                with atomic_write(path, durable=True) as half:
                    write_list(half, new, [sizes[name] for name in new])
                    entry['sha256'] = hashlib.sha256(half.read_bytes()).hexdigest()
            if is_new:
                self._write_probe()
                header['identity'] = identity_of(header)
            run = dict(speed=self.options.speed, device=str(self.embedder.device))
            if run not in header.setdefault('written', []):
                header['written'].append(run)
            with atomic_write(self.folder / HEADER, durable=True) as half:
                half.write_text(json.dumps(header, indent=1) + '\n')
        shared = [header]
        broadcast_object_list(shared)
        self.header.update(shared[0])
        barrier()

    def _write_probe(self) -> None:
        """Write an image and some views of it, to test the replay elsewhere."""
        replay = ViewReplay([kind['pipeline'] for kind in self.header['kinds']])
        for name in self.order:
            path = self.images.paths[name]
            if not is_readable(path):
                continue
            seeds = [view_seed(self.header['seed'], name, 0, v) for v in range(PROBES)]
            arrays: dict[str, Any] = dict(
                image=np.frombuffer(fileio.get(path), np.uint8),
                seeds=np.array(seeds, np.uint64),
            )
            for kind in range(len(replay.kinds)):
                views = replay.views(path, [(kind, seed) for seed in seeds])
                arrays[f'kind{kind}'] = torch.stack(views).numpy()
            with atomic_write(self.folder / PROBE, durable=True) as half:
                np.savez(half, **arrays)
            return

    def _plan(self, missing: Sequence[Shard], seconds: float) -> None:
        """Print images, views, bytes and time.

        Args:
            missing (Sequence[Shard]): Shards to be written.
            seconds (float): Of a view.
        """
        _, world = get_dist_info()
        rows = sum(shard.rows for shard in missing)
        teacher = self.header['teacher']
        size = rows * record_dtype(self.header['dtype'], teacher['width']).itemsize
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise InputError(
                f"the store needs {in_bytes(size)} in '{self.folder}', "
                f'{in_bytes(free)} are free: choose another --out, fewer --views, or '
                '--dtype int8'
            )
        self._say('teacher', f'{teacher["file"]}, embedding of {teacher["width"]}')
        self._say('store', self._counts())
        self._say(
            'estimate',
            f'{rows} embeddings in {len(missing)} shards, {in_bytes(size)}, '
            f'{duration(rows * seconds / world)} ({1 / max(seconds, 1e-9):.0f} views '
            'per second' + (f' on each of {world} ranks)' if world > 1 else ')'),
        )

    def verify(self) -> None:
        """Compare the checksums of all shards.

        Raises:
            InputError: If one differs.
        """
        shards = list(shards_of(self.header))
        for shard in track(shards, 'checksums'):
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
        rng = np.random.default_rng()
        teacher = self.embedder.build_teacher('off')
        bound = BOUNDS[store.header['dtype']]
        lowest, compared = 1.0, 0
        for _ in track(range(num), 'check'):
            row, view = (int(rng.integers(n)) for n in (len(store), store.num_views))
            kind = int(rng.integers(len(self.header['kinds'])))
            pixels = self.embedder.images.views(row, kind, [view])
            stored = torch.from_numpy(store.embeds(row, kind, [view]))
            if pixels is None and not stored.isfinite().any():
                continue
            cosine = 0.0
            if pixels is not None and stored.isfinite().all():
                cosine = lowest_cosine(self.embedder.embed(teacher, pixels), stored)
            if cosine < bound:
                raise InputError(
                    f"view {view} of '{store.names[row]}' has a cosine of {cosine:.4f} "
                    f"with its embedding in '{self.folder}', below {bound}: the store "
                    'is of another teacher or other views, write it again'
                )
            compared += 1
            lowest = min(lowest, cosine)
        self._say(
            'checked',
            f'{compared} views computed again, lowest cosine {lowest:.6f}',
        )


def lowest_cosine(a: Tensor, b: Tensor) -> float:
    """Lowest cosine of the rows of two tensors, [N, D] each."""
    return F.cosine_similarity(a.double(), b.double()).min().item()
