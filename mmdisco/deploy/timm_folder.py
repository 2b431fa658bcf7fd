"""Publication of a student as a folder that timm loads by itself."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mmdisco.checkpoints.config_text import normalisation_of
from mmdisco.checkpoints.save import SAFETENSORS, origin, reproducible_bytes
from mmdisco.checkpoints.student import Student, load_student
from mmdisco.errors import InputError
from mmdisco.models.outputs import Pooled, outputs_of
from .card import Card, model_card
from .compare import agreements, report_lines
from .libraries import library_weights, timm_arguments

WEIGHTS, CONFIG, CARD = 'model.safetensors', 'config.json', 'README.md'
# the protocol of the evaluation tools: shorter edge 256, centre crop 224
_CROP, _INTERPOLATION = 0.875, 'bilinear'
_IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
# what remains of timm's own settings of a network
_KEPT = ('fixed_input_size', 'first_conv', 'classifier', 'min_input_size')


def is_folder(out: str) -> bool:
    """Whether an output path names a folder: it exists, or has no ending."""
    return out.endswith(('/', os.sep)) or Path(out).is_dir() or not Path(out).suffix


@contextmanager
def _atomic_folder(out: str) -> Iterator[Path]:
    """Write a folder completely or not at all.

    Raises:
        InputError: If it exists and is not empty, or can't be written.
    """
    path = Path(out)
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"'{out}' is a folder that is not empty: name a new one")
    if path.exists() and not path.is_dir():
        raise InputError(f"'{out}' is a file: name a folder")
    half = path.absolute().with_name(f'.half.{path.name}')
    try:
        shutil.rmtree(half, ignore_errors=True)  # of a killed process
        half.mkdir(parents=True)
        try:
            yield half
            os.replace(half, path)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    except OSError as error:
        raise InputError(f"'{out}' can't be written: {error}") from error


def _config(
    student: Student, name: str, options: dict[str, Any], size: int
) -> dict[str, Any]:
    """Content of ``config.json``, for images of this training."""
    import timm

    network: Any = timm.create_model(name, num_classes=0, **options)
    own = network.pretrained_cfg
    built = getattr(getattr(network, 'patch_embed', None), 'img_size', None)
    if own.get('fixed_input_size') and built:  # timm builds it for input_size
        options = {**options, 'img_size': list(built)}
    mean, std = normalisation_of(student.meta) or _IMAGENET
    mean, std = ([round(v / 255, 6) for v in part] for part in (mean, std))
    config = dict(
        {key: own[key] for key in _KEPT if own.get(key) is not None},
        num_classes=0,
        input_size=[3, size, size],
        mean=mean * (3 // len(mean)),
        std=std * (3 // len(std)),
        interpolation=_INTERPOLATION,
        crop_pct=_CROP,
        crop_mode='center',
    )
    return {
        'architecture': name,
        'num_classes': 0,
        'num_features': network.head_hidden_size
        if hasattr(network, 'head_hidden_size')
        else network.num_features,
        **({'model_args': options} if options else {}),
        'pretrained_cfg': config,
    }


def publish_timm_folder(
    checkpoint: str,
    out: str,
    arch: str | None = None,
    size: int | None = None,
    card: Card | None = None,
    command: str = '',
) -> str:
    """Write ``config.json``, ``model.safetensors`` and a model card, and verify them.

    The result is loaded by ``timm.create_model('local-dir:OUT', pretrained=True)``
    without a network connection, and its features are compared with the student's.
    It appears completely or not at all.

    Args:
        checkpoint (str): Any file that :func:`load_student` reads.
        out (str): Folder to write, new or empty.
        arch (str, optional): Name of the network, if the file does not record
            it.
        size (int, optional): Height and width of images. Defaults to None: those
            of the training if the file records them, else 224.
        card (Card, optional): What the user says about the student. Defaults to
            None, nothing.
        command (str): Command that is named in the card. Defaults to ''.

    Returns:
        str: The report.

    Raises:
        InputError: If the checkpoint can't be used, timm has no such network, the
            folder is not empty, or the features differ.
    """
    import timm

    student = load_student(checkpoint, arch)
    size = size or student.size
    weights = library_weights('timm', student)
    name, options = timm_arguments(student)
    network = Pooled(student.backbone).eval()
    outputs_of(network, torch.zeros(1, 3, size, size))
    try:
        config = _config(student, name, options, size)
    except InputError as error:
        raise InputError(f"'{checkpoint}': {error}") from error
    mean, std = (config['pretrained_cfg'][key] for key in ('mean', 'std'))
    text = model_card(
        student,
        card or Card(),
        name,
        origin(checkpoint),
        f'Images: {size}x{size} pixels (centre crop of {_CROP:g} of the shorter edge, '
        f'{_INTERPOLATION}), mean {mean}, std {std} of RGB from 0 to 1',
        command or 'mmdisco.deploy.publish_timm_folder',
    )
    with _atomic_folder(out) as half:
        (half / WEIGHTS).write_bytes(reproducible_bytes(SAFETENSORS, weights))
        (half / CONFIG).write_text(json.dumps(config, indent=2) + '\n')
        (half / CARD).write_text(text)
        loaded = timm.create_model(f'local-dir:{half}', pretrained=True).eval()
        try:
            compared = agreements(network, lambda images: (loaded(images),), size)
        except InputError as error:
            raise InputError(f"'{out}' was not written: {error}") from error
        mebibytes = (half / WEIGHTS).stat().st_size / 2**20
    count = sum(p.numel() for p in loaded.parameters())
    return '\n'.join(
        [
            f'{out}: {CONFIG}, {WEIGHTS} ({mebibytes:.1f} MiB), {CARD}',
            f"  network      timm's {name}; images [N, 3, {size}, {size}], mean {mean}",
            f"  output       features ['N', {config['num_features']}]".replace("'", ''),
            f'  parameters   {count:,}',
            *report_lines(compared),
            f"  load with    timm.create_model('local-dir:{out}', pretrained=True)",
        ]
    )
