"""Settings, features and report of an evaluation on cached features."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.dist import is_main_process, master_only

from mmdisco.datasets.decode import WHITE
from mmdisco.errors import InputError
from mmdisco.launch import init_processes
from mmdisco.utils import atomic_write
from .features.cache import Features
from .features.encoder import Encoder, Normalisation, open_encoder
from .features.extract import extract_split, header_of
from .features.views import DEFAULTS, Crop
from .sources import Source, check_pair, copies, open_source
from .sources.source import spread


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation, resolved once from the arguments of a tool.

    Args:
        model (str): Checkpoint, name of a model, or config, as
            :func:`open_encoder` takes it.
        checkpoint (str, optional): Weights of a config or of a named model.
        arch (str, optional): Network of a checkpoint that does not name it.
        normalisation (tuple[list, list], optional): Means and standard
            deviations of RGB, 0 to 255. Defaults to None: those of the model.
        launcher (str): 'none', 'pytorch' or 'slurm'. Defaults to 'none'.
        resize (int, optional): Shorter edge of the resized image in pixels.
            Defaults to None: by the kind of images, see :meth:`crop_of`.
        crop (int, optional): Side of the central crop in pixels. Defaults to
            None: by the kind of images.
        interpolation (str, optional): 'bilinear' or 'bicubic'. Defaults to
            None: by the kind of images.
        scale (float): Minimum share of the image's area in a random view,
            0 to 1. Defaults to 0.08.
        background (tuple[int, int, int]): RGB colour, 0 to 255, below
            transparent pixels. Defaults to white.
        dtype (str): Precision of cached features, 'float32' or 'float16'.
            Defaults to 'float32'.
        batch_size (int): Images per forward pass. Defaults to 256.
        workers (int, optional): Processes that load images, on each rank.
            Defaults to None: as many as cores, for files.
        data (str): Folder of the train and test images. Defaults to '', for
            tools that take images without labels.
        features (Path, optional): Folder of the cached features. Defaults to
            None: named by their content, in ``work_dirs/features``.
        views (int): Random views of each training image; 0 is the central
            crop only. Defaults to 0.
        seed (int): Seed of random views, held-out images and optimisers.
            Defaults to 0.
        out (Path, optional): JSON report. Defaults to None: named by the
            model, in ``work_dirs/eval``.
    """

    model: str
    checkpoint: str | None = None
    arch: str | None = None
    normalisation: Normalisation | None = None
    launcher: str = 'none'
    resize: int | None = None
    crop: int | None = None
    interpolation: str | None = None
    scale: float = Crop().scale
    background: tuple[int, int, int] = WHITE
    dtype: str = 'float32'
    batch_size: int = 256
    workers: int | None = None
    data: str = ''
    features: Path | None = None
    views: int = 0
    seed: int = 0
    out: Path | None = None

    @property
    def stem(self) -> str:
        """Name of the model in default folders, e.g. ``r50_r18_epoch_200``."""
        path = Path(self.model)
        return f'{path.parent.name}_{path.stem}' if path.parent.name else path.stem

    def crop_of(self, kind: str, size: int = 224) -> Crop:
        """Crop of images, by default that of their kind.

        Args:
            kind (str): Kind of :class:`Source`.
            size (int): Default crop of photos, in pixels: the size of the model's
                training. The shorter edge is 8/7 of it. Defaults to 224.
        """
        crop = DEFAULTS.get(kind, Crop(size * 8 // 7, size))
        resize, side = self.resize, self.crop
        if crop.resize is None and (resize or side):
            crop = crop._replace(resize=side or resize, crop=side or resize)
        if resize is None:
            resize = max(crop.resize, side) if crop.resize and side else crop.resize
        if side is None:
            side = min(crop.crop, resize) if crop.crop and resize else crop.crop
        return Crop(resize, side, self.interpolation or crop.interpolation, self.scale)

    def report_path(self, tool: str) -> Path:
        """Path of the JSON report.

        Args:
            tool (str): Name of the tool, without extension.
        """
        return self.out or Path('work_dirs', 'eval', self.stem, f'{tool}.json')

    def features_folder(self, headers: list[dict]) -> Path:
        """Folder of the cached features of both splits.

        Args:
            headers (list[dict]): One of :func:`header_of` for each split.
        """
        if self.features:
            return self.features
        keys = [
            {key: header[key] for key in header if key not in ('model', 'root')}
            for header in headers
        ]
        name = hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:12]
        return Path('work_dirs', 'features', f'{self.stem}-{name}')


class Prepared(NamedTuple):
    """Input of a protocol."""

    train: Features
    test: Features
    device: str
    about: dict  # model and data, for the report


def load_encoder(settings: Settings) -> tuple[Encoder, str]:
    """Initialise the processes and load the network on their devices.

    Args:
        settings (Settings): Settings of the evaluation.

    Returns:
        tuple[Encoder, str]: The network and its device.
    """
    init_processes(settings.launcher)
    encoder = open_encoder(
        settings.model, settings.checkpoint, settings.arch, settings.normalisation
    )
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return encoder.to(device), device


def prepare(settings: Settings, check: Callable[[Source], object]) -> Prepared:
    """Extract the features of both splits, or read them from the cache.

    Args:
        settings (Settings): Settings of the evaluation.
        check (Callable): Takes the training images; raises an
            :class:`InputError` if the protocol can't use them, before any is
            embedded.

    Returns:
        Prepared: Features of both splits.

    Raises:
        InputError: If data, model or cached features can't be used.
    """
    sources = [open_source(settings.data, split) for split in ('train', 'test')]
    for source in sources:
        source.background = settings.background
    check_pair(*sources)
    check(sources[0])
    if settings.out and settings.out.is_dir():
        raise InputError(f"'{settings.out}' is a folder: name the report to write")
    encoder, device = load_encoder(settings)
    start = time.perf_counter()
    crops = [settings.crop_of(source.kind, encoder.size) for source in sources]
    views = settings.views, 0
    headers = [
        header_of(encoder, source, crop, number, settings.seed, settings.dtype)
        for source, crop, number in zip(sources, crops, views)
    ]
    folder = settings.features_folder(headers)
    splits = []
    for source, crop, number in zip(sources, crops, views):
        cached = (folder / source.split / 'header.json').is_file()
        features = extract_split(
            encoder,
            source,
            crop,
            folder / source.split,
            number,
            settings.seed,
            settings.dtype,
            settings.batch_size,
            settings.workers,
        )
        splits.append(features)
        say(
            f'{source.split}: {len(source)} images of {len(source.classes)} '
            f'classes, {features.plain.shape[1]}-d features '
            f'{"found in" if cached else "written to"} {folder / source.split}'
        )
    for warning in _warnings(sources, splits):
        say(f'warning: {warning}')
    about = dict(
        model=settings.model,
        sha256=encoder.sha256,
        data=settings.data,
        images=[len(source) for source in sources],
        classes=sources[0].classes,
        transform=list(crops[0]),
        normalisation=list(encoder.normalisation),
        views=settings.views,
        seed=settings.seed,
        seconds_of_features=time.perf_counter() - start,
    )
    train, test = splits
    return Prepared(train, test, device, about)


def _warnings(sources: list[Source], splits: list[Features]) -> Iterator[str]:
    """Reasons to doubt a score on these images."""
    number = copies(*sources)
    if number:
        yield (
            f'{number} of the test images (at most 64 were compared) are also '
            'training images: their score says little about other images'
        )
    num = len(sources[1])
    if num < 100:
        yield f'there are {num} test images: each is {100 / num:.2g} % of a score'
    for source, features in zip(sources, splits):
        some = features.plain[[*spread(len(source))]].float()  # [n, D]
        if len(some) > 1 and bool((some == some[0]).all()):
            yield (
                f'the features of all {source.split} images are the same: '
                'check the checkpoint and --mean and --std'
            )


@master_only
def say(line: str) -> None:
    """Print a line, on the main process only."""
    print(line, flush=True)


def report(settings: Settings, tool: str, result: dict, summary: str) -> None:
    """Write the report, then print the summary as the last line.

    Args:
        settings (Settings): Settings of the evaluation.
        tool (str): Name of the tool, without extension.
        result (dict): Content of the report.
        summary (str): One line.
    """
    path = settings.report_path(tool)
    if is_main_process():
        with atomic_write(path) as half:
            half.write_text(
                json.dumps(dict(summary=summary, **result), indent=1) + '\n'
            )
    say(f'report: {path}')
    say(summary)
