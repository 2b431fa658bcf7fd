"""Make a synthetic detection set."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np

from mmdisco.errors import InputError
from mmdisco.version import __version__
from .annotations import write_coco, write_voc
from .images import FASHION_NAMES, Garments, photographs
from .scene import Scenes

WRITERS = dict(voc=write_voc, coco=write_coco)


class Made(NamedTuple):
    """Size of a split of a synthetic set."""

    split: str
    images: int
    objects: list[int]  # number of objects of each class


def make_set(
    out: Path,
    kind: str,
    train: int,
    test: int,
    objects: Path,
    size: int = 128,
    seed: int = 0,
    names: Sequence[str] = FASHION_NAMES,
    photos: str = 'skimage',
) -> list[Made]:
    """Make a small detection set: garments pasted into real photographs.

    Training and test images have no garment and no photograph in common. The
    same arguments give the same bytes.

    Args:
        out (Path): Folder to make, completely or not at all.
        kind (str): 'voc' for the devkit's layout, 'coco' for COCO 2017's.
        train (int): Number of training images; VOC divides them between 2007
            and 2012.
        test (int): Number of test images.
        objects (Path): Folder of Fashion-MNIST's IDX files.
        size (int): Side of the images, in pixels. Defaults to 128.
        seed (int): Seed of the random choices. Defaults to 0.
        names (Sequence[str]): Class names: ten for Fashion-MNIST's classes, in
            their order, then any without objects. Defaults to Fashion-MNIST's.
        photos (str): 'skimage' or 'sklearn', see :func:`photographs`.
            Defaults to 'skimage'.

    Returns:
        list[Made]: Sizes of the training and the test split.

    Raises:
        InputError: If an argument is invalid, a source is missing, or ``out``
            is not empty or can't be written.
    """
    out, objects = Path(out), Path(objects)
    _check(out, kind, train, test, size, seed, names, photos)
    counts = dict(train=train, test=test)
    sources = {split: photographs(split, photos) for split in counts}
    scenes = {
        split: (
            Scenes(Garments(objects, split), sources[split], size, (seed, number)),
            count,
        )
        for number, (split, count) in enumerate(counts.items())
    }
    half = out.with_name(f'{out.name}.{uuid4().hex}.half')
    try:
        half.mkdir(parents=True)
        labels = WRITERS[kind](half, scenes, names)
        about = dict(
            kind=kind,
            train=train,
            test=test,
            size=size,
            seed=seed,
            names=[*names],
            photos=photos,
            objects=dict(
                folder=str(objects), sha256=_digests(objects.glob('*-idx?-ubyte*'))
            ),
            photographs={k: _digests(v) for k, v in sources.items()},
            versions=dict(
                mmdisco=__version__,
                **{name: version(name) for name in ('numpy', 'pillow')},
            ),
        )
        (half / 'set.json').write_text(json.dumps(about, indent=1) + '\n')
        half.replace(out)
    except OSError as error:
        raise InputError(f"'{out}' can't be written: {error}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return [
        Made(
            split,
            len(per_image),
            np.bincount(np.concatenate(per_image), minlength=len(names)).tolist(),
        )
        for split, per_image in labels.items()
    ]


def _check(
    out: Path,
    kind: str,
    train: int,
    test: int,
    size: int,
    seed: int,
    names: Sequence[str],
    photos: str,
) -> None:
    if kind not in WRITERS:
        raise InputError(f"kind is 'voc' or 'coco', not '{kind}'")
    if photos not in ('skimage', 'sklearn'):
        raise InputError(f"photos are 'skimage' or 'sklearn', not '{photos}'")
    least = 2 if kind == 'voc' else 1  # one for each year
    if train < least or test < 1:
        raise InputError(
            f'{train} training and {test} test images: {kind} '
            f'needs at least {least} and 1'
        )
    if not 32 <= size <= 512:
        raise InputError(
            f'size {size}: should be 32 to 512 pixels, as the objects have 28'
        )
    if seed < 0:
        raise InputError(f'seed {seed}: should be at least 0')
    if len(names) < len(FASHION_NAMES) or len({*names}) < len(names):
        raise InputError(f'{len(names)} names: use at least ten, all different')
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"'{out}' is not empty: delete it, or name another folder")


def _digests(paths) -> dict:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
    }
