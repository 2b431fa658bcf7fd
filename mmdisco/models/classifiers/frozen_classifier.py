"""A trained classifier as a teacher of logits."""

from pathlib import Path

from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.checkpoints import bare_names, check_finite, load_strictly
from mmdisco.checkpoints.safe_load import safe_load, sha256_of
from mmdisco.errors import InputError, MissingFileError
from ..host import Part, build
from ..teacher import FrozenTeacher


def read_classifier(path: str) -> dict:
    """Read a classifier saved by a linear evaluation.

    Args:
        path (str): Checkpoint of an ``ImageClassifier``.

    Returns:
        dict: Tensors by key, ``backbone.*`` and ``head.*``.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        InputError: If it is not a checkpoint, has no classifier, or has
            weights that are not finite.
    """
    if not Path(path).is_file():
        raise MissingFileError(
            f"teacher classifier '{path}' not found: train one with "
            'configs/benchmarks/linear_r50.py, or set '
            'model.teacher.checkpoint'
        )
    loaded = safe_load(path)
    state_dict = loaded.get('state_dict') if isinstance(loaded, dict) else None
    if not isinstance(state_dict, dict):
        raise InputError(
            f"teacher classifier '{path}' has no state_dict, so it is not a "
            'checkpoint of a linear evaluation: set model.teacher.checkpoint to one'
        )
    state_dict, _ = bare_names(state_dict)
    if not any(key.startswith('head.') for key in state_dict):
        first = next(iter(state_dict), 'nothing')
        raise InputError(
            f"teacher classifier '{path}' has no classifier (head.*), its "
            f"first key is '{first}': set model.teacher.checkpoint to the "
            'file of a linear evaluation'
        )
    check_finite(state_dict, f"teacher classifier '{path}'")
    return state_dict


@MODELS.register_module()
class FrozenClassifier(FrozenTeacher):
    """A frozen trained classifier. Its logits are the embeddings.

    Every tensor must load. The classifier stays in eval mode.

    Args:
        backbone (dict or nn.Module): The backbone.
        head (dict or nn.Module): The classifier, for example
            ``LinearClsHead``.
        neck (dict or nn.Module, optional): Between backbone and head, for
            example ``GlobalAveragePooling``. Defaults to None.
        checkpoint (str, optional): A local file with ``backbone.*`` and
            ``head.*``, as saved by a linear evaluation. It may be None only if
            backbone and head are built modules. Defaults to None.
        fuse (bool): As in :class:`FrozenTeacher`. Defaults to False.
        dtype (str): As in :class:`FrozenTeacher`. Defaults to 'fp32'.
        channels_last (bool): As in :class:`FrozenTeacher`. Defaults to False.
        compile (bool): As in :class:`FrozenTeacher`. Defaults to False.

    Raises:
        FileNotFoundError: If ``checkpoint`` does not exist.
        InputError: If ``checkpoint`` is None or not a checkpoint, has no
            classifier or does not fit the networks.
    """

    def __init__(
        self,
        backbone: Part,
        head: Part,
        neck: Part | None = None,
        checkpoint: str | None = None,
        fuse: bool = False,
        dtype: str = 'fp32',
        channels_last: bool = False,
        compile: bool = False,
    ) -> None:
        if checkpoint is None and not (
            isinstance(backbone, nn.Module) and isinstance(head, nn.Module)
        ):
            raise InputError('the teacher has no weights: set model.teacher.checkpoint')
        parts = nn.ModuleDict(
            dict(
                backbone=build(backbone, 'backbone'),
                neck=nn.Identity() if neck is None else build(neck, 'neck'),
                head=build(head, 'head'),
            )
        )
        if checkpoint is not None:
            load_strictly(
                parts, read_classifier(checkpoint), f"teacher classifier '{checkpoint}'"
            )
        super().__init__(
            parts['backbone'],
            nn.Sequential(parts['neck'], parts['head']),
            fuse=fuse,
            dtype=dtype,
            channels_last=channels_last,
            compile=compile,
        )
        self.num_classes = getattr(parts['head'], 'num_classes', None)
        self.checkpoint = checkpoint
        if checkpoint is not None:
            self.sha256 = sha256_of(checkpoint)
            print_log(
                f'Frozen classifier: {type(self.backbone).__name__}, '
                f"{self.num_classes} classes, from '{checkpoint}' (sha256 "
                f'{self.sha256[:12]})',
                logger='current',
            )
