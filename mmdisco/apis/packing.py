"""Pack a folder of photos into shards, in one call."""

import hashlib
import json
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import PIL
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mmdisco.datasets.listing import list_images
from mmdisco.datasets.packed import PackedImages, is_packed
from mmdisco.datasets.packed.encode import INTERPOLATION, EncodedPhotos
from mmdisco.datasets.packed.foreign import index_shards
from mmdisco.datasets.packed.writer import (
    PLAN,
    Plan,
    finish,
    read_note,
    write_shards,
)
from mmdisco.engine.hooks.progress import duration
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.sources.source import spread
from mmdisco.utils import atomic_write, available_cores
from mmdisco.version import __version__
from .distillation import in_bytes

OVERHEAD = 3 * 1024  # bytes of an image's headers, padding and small files


def pack(
    photos: str | Path,
    out: str | Path,
    *,
    size: int = 512,
    quality: int = 90,
    copy: bool = False,
    labels: bool = True,
    seed: int = 0,
    shard_mb: float = 256.0,
    workers: int | None = None,
) -> PackedImages:
    """Pack a folder of photos into tar shards in WebDataset's format.

    Images are in a shuffled order, and re-encoded once or copied. A call that was
    interrupted is continued by the same call: complete shards are kept. The index
    ``OUT/shards.json`` is written last; with it, the folder can be given wherever a
    folder of photos can.

    Args:
        photos (str or Path): Folder of images, at any depth.
        out (str or Path): Folder to write.
        size (int): Shorter side of the packed images in pixels; smaller images are
            not enlarged. Defaults to 512.
        quality (int): Quality of JPEG, 1 to 100. Defaults to 90.
        copy (bool): Whether to copy the files as they are instead. Defaults to
            False.
        labels (bool): Whether to store classes, if all images are in class folders.
            Defaults to True.
        seed (int): Seed of the order. Defaults to 0.
        shard_mb (float): Size of a shard in megabytes, about. Defaults to 256.
        workers (int, optional): Processes that encode images. Defaults to None: as
            many as cores.

    Returns:
        PackedImages: The index.

    Raises:
        MissingFileError: If the folder does not exist.
        InputError: If it has no readable image, ``out`` holds other images or has
            not enough space, or a number is out of range.
    """
    photos, out = Path(photos).expanduser(), Path(out).expanduser()
    console = Console(highlight=False, soft_wrap=True)
    _check_numbers(size, quality, shard_mb)
    _check_folders(photos, out)
    names, tally = list_images(str(photos))
    if not names:
        raise InputError(
            f"'{photos}' holds no image ({tally.reasons() or 'it is empty'}): "
            'name a folder of images'
        )
    classes = _classes(names) if labels else []
    of_class = {name: i for i, name in enumerate(classes)}
    encoder = EncodedPhotos(str(photos), names, None if copy else size, quality)
    settings = _settings(encoder, names, classes, seed, shard_mb)
    workers = available_cores() if workers is None else workers
    left_out = tally.reasons()
    console.print(
        f'photos    {len(names)} images in {photos}'
        + (f', {len(classes)} classes' if classes else '')
        + (f'; left out: {left_out}' if left_out else ''),
        markup=False,
    )
    measured = _measure(encoder, max(workers, 1))
    plan = Plan(
        names,
        [of_class[name.split('/', 1)[0]] for name in names] if classes else None,
        classes,
        _per_shard(out, settings, shard_mb, measured[0]),
        seed,
        settings,
    )
    _print_plan(console, plan, out, *measured)
    with Progress(
        TextColumn('packing  '),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        done = [k for k in range(plan.number) if read_note(out, k) is not None]
        task = bar.add_task('', total=len(names))
        bar.advance(task, sum(len(plan.indices(k)) for k in done))
        for image in write_shards(encoder, plan, out, workers):
            if image.problem:
                console.print(
                    f"left out  '{photos / names[image.index]}', not a readable image: "
                    f'{image.problem}',
                    markup=False,
                )
            bar.advance(task)
    packed = finish(plan, out)
    total = sum(shard.bytes for shard in packed.shards)
    console.print(
        f'packed    {len(packed)} images, {in_bytes(total)}, '
        f'{len(names) - len(packed)} unreadable: {out}',
        markup=False,
    )
    return packed


def index(folder: str | Path, labels: bool = True) -> PackedImages:
    """Index tar files that another program has written.

    Args:
        folder (str or Path): Folder of the tar files.
        labels (bool): Whether to read classes. Defaults to True.

    Returns:
        PackedImages: The index.

    Raises:
        InputError: As :func:`~mmdisco.datasets.packed.foreign.index_shards`.
    """
    images = index_shards(folder, labels)
    classes = f', {len(images.classes)} classes' if images.classes else ', no classes'
    print(f'{images}{classes}')
    return images


def _check_numbers(size: int, quality: int, shard_mb: float) -> None:
    if size < 1 or shard_mb <= 0:
        raise InputError(f'size={size}, shard_mb={shard_mb:g}: set numbers above 0')
    if not 1 <= quality <= 100:
        raise InputError(f'quality={quality}: set a number from 1 to 100')


def _check_folders(photos: Path, out: Path) -> None:
    if not photos.is_dir():
        why = 'is a file' if photos.exists() else 'does not exist'
        raise MissingFileError(f"'{photos}' {why}: name a folder of images")
    if is_packed(photos):
        raise InputError(
            f"'{photos}' holds packed images already: name the folder they were made of"
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file: name a folder to write")
    if (out / PLAN).is_file():
        return
    if is_packed(out):
        raise InputError(
            f"'{out}' holds packed images already: choose another folder, or remove it"
        )
    if out.is_dir() and any(out.glob('*.tar')):
        raise InputError(
            f"'{out}' holds other tar files: choose another folder, or index them "
            f'with mmdisco pack --index {out}'
        )


def _classes(names: list[str]) -> list[str]:
    """Class folders, sorted, if all images are in two or more."""
    classes = {name.split('/', 1)[0] if '/' in name else '' for name in names}
    return sorted(classes) if len(classes) > 1 and '' not in classes else []


def _settings(
    encoder: EncodedPhotos,
    names: list[str],
    classes: list[str],
    seed: int,
    shard_mb: float,
) -> dict:
    """What a continued call must share with the one before, for the index."""
    digest = hashlib.sha256('\0'.join(names).encode(errors='surrogateescape'))
    copied = encoder.size is None
    return dict(
        size=encoder.size,
        quality=None if copied else encoder.quality,
        interpolation=None if copied else f'{INTERPOLATION.name.lower()} of Pillow',
        seed=seed,
        shard_mb=shard_mb,
        classes=len(classes),
        images=len(names),
        images_sha256=digest.hexdigest(),
        versions=dict(
            mmdisco=__version__,
            pillow=PIL.__version__,
            libjpeg=PIL.features.version('jpg'),
            webdataset=version('webdataset'),
        ),
    )


def _measure(encoder: EncodedPhotos, workers: int) -> tuple[float, float]:
    """Mean bytes of an image in a shard, and seconds with these workers."""
    start = time.perf_counter()
    rows = spread(len(encoder))
    total = sum(len(encoder[i].content) + OVERHEAD for i in rows)
    return total / len(rows), (time.perf_counter() - start) / len(rows) / workers


def _per_shard(out: Path, settings: dict, shard_mb: float, mean: float) -> int:
    """Images of a shard: as begun, else by the mean size; writes the plan."""
    path = out / PLAN
    if path.is_file():
        try:
            begun = json.loads(path.read_text())
        except ValueError:
            begun = {}
        before = begun.pop('per_shard', None)
        for name, now in settings.items():
            if begun.get(name) != now:
                raise InputError(
                    f"'{out}' was begun with {name} {begun.get(name)}, this is {now}: "
                    'continue it with the same photos and options, or remove it'
                )
        return before
    number = max(round(shard_mb * 1e6 / mean), 1)
    with atomic_write(path) as half:
        half.write_text(json.dumps(dict(settings, per_shard=number), indent=1))
    return number


def _print_plan(
    console: Console, plan: Plan, out: Path, mean: float, seconds: float
) -> None:
    """Print settings and estimate; reject a disk that is too small."""
    missing = [k for k in range(plan.number) if read_note(out, k) is None]
    images = sum(len(plan.indices(k)) for k in missing)
    free = shutil.disk_usage(out).free
    if images * mean > free:
        raise InputError(
            f"packing needs {in_bytes(images * mean)} in '{out}', {in_bytes(free)} are "
            'free: choose another folder, or a smaller --size'
        )
    size, quality = plan.settings['size'], plan.settings['quality']
    how = (
        'files copied as they are'
        if size is None
        else f'shorter side at most {size} pixels, JPEG of quality {quality}'
    )
    kept = plan.number - len(missing)
    shards = f'{plan.number} shard{"" if plan.number == 1 else "s"}'
    for name, text in (
        ('packing', f'{how}; {shards} of {plan.per_shard} images'),
        ('resume', f'{kept} shards are complete' if kept else ''),
        (
            'estimate',
            f'{duration(images * seconds)}, {in_bytes(images * mean)}; '
            f'{in_bytes(free)} free in {out}',
        ),
    ):
        if text:
            console.print(f'{name:9} {text}', markup=False)
