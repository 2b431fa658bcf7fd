"""Extraction of the student's backbone from a checkpoint."""

from collections.abc import Mapping
from pathlib import Path

from mmdisco.errors import InputError
from .checkpoint import check_finite, read_conversion
from .config_text import kept_normalisation, read_training
from .network import find_network
from .safe_load import safe_load
from .save import ending_of, origin, save_weights
from .settings import warn_assumed
from .wrappers import momentum_encoder


def extract_backbone(
    checkpoint: str, out: str, momentum: bool = False, size: int | None = None
) -> str:
    """Write the backbone of a checkpoint alone, with its network's config.

    Args:
        checkpoint (str): Checkpoint of a training.
        out (str): File to write, ``.pth`` or ``.safetensors``.
        momentum (bool): Whether to extract the momentum encoder's backbone, as
            DINO evaluates it. Defaults to False.
        size (int, optional): Height and width of the training's images in pixels,
            which the file records. Defaults to None, not known.

    Returns:
        str: What was written, in one line.

    Raises:
        InputError: If the file is not a checkpoint, has no momentum encoder, or
            its weights are not finite.
    """
    ending_of(out)
    conversion = read_conversion(checkpoint)
    weights = conversion.state_dict
    if momentum:
        loaded = safe_load(checkpoint)
        try:
            weights = momentum_encoder(loaded.get('state_dict') or {})
            check_finite(weights, 'its momentum encoder')
        except InputError as error:
            raise InputError(f"'{checkpoint}': {error}") from error
    backbone = {
        key: value for key, value in weights.items() if key.startswith('backbone.')
    }
    meta = dict(
        origin(checkpoint),
        overrides=dict(conversion.overrides),
        **kept_normalisation(conversion.meta),
        **_training_of(conversion.meta),
        **({} if size is None else dict(size=size)),
    )
    try:  # name the network in the file
        network = find_network(conversion.meta, imports=True)
        meta.update(
            arch=network.arch, backbone={**network.backbone, **conversion.overrides}
        )
    except InputError:
        warn_assumed(conversion, f"'{checkpoint}'")
    save_weights(out, backbone, meta=meta)
    count = sum(v.numel() for v in backbone.values())
    part = 'the momentum encoder' if momentum else conversion.taken
    return (
        f'{out}: {len(backbone)} tensors, {count:,} numbers, from '
        f'{meta["source"]} (sha256 {meta["sha256"][:12]}); extracted: {part}'
    )


def _training_of(meta: Mapping) -> dict:
    """Method and teacher of the training, for the model card; no other paths."""
    training, teacher = meta.get('training'), meta.get('teacher')
    if isinstance(meta.get('cfg'), str):
        read = read_training(meta['cfg'])
        file = read.teacher_file and Path(read.teacher_file).name
        training = read._replace(teacher_file=file)._asdict()
    kept = dict(training=dict(training)) if isinstance(training, Mapping) else {}
    if isinstance(teacher, Mapping):
        name = Path(str(teacher.get('checkpoint'))).name
        kept['teacher'] = dict(teacher, checkpoint=name)
    return kept
