"""Load a trained student, or the student file of a detector's training."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mmengine.model import revert_sync_batchnorm
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError, MissingFileError
from mmdisco.utils import quiet_init
from .checkpoint import load_strictly, read_conversion
from .network import Network, find_network
from .safe_load import sha256_of
from .settings import check_settings, warn_assumed

RANDOM = 'random'  # a detector's baseline without pre-training


class Student(NamedTuple):
    """A trained network, ready for inference."""

    network: Network  # configs and arch name
    backbone: nn.Module  # in eval mode, no gradients
    neck_weights: dict[str, Tensor]  # empty if the file has no neck
    meta: Mapping  # metadata of the file

    @property
    def size(self) -> int:
        """Height and width of images: those of its training if recorded, else 224."""
        size = self.meta.get('size')
        return size if isinstance(size, int) and 0 < size <= 4096 else 224


def built(config: dict, weights: Mapping, name: str) -> nn.Module:
    """Build a network for inference and load its weights strictly.

    Args:
        config (dict): Config of the network.
        weights (dict): All of its tensors, by its keys.
        name (str): Name of the weights in messages.

    Returns:
        nn.Module: In eval mode, without gradients.

    Raises:
        InputError: If the weights do not fit.
    """
    try:
        with quiet_init():
            module = revert_sync_batchnorm(MODELS.build(dict(config)))
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        last = str(error).strip().split('\n')[-1]
        raise InputError(f'{name}: its config does not fit: {last}') from error
    load_strictly(module, weights, name)
    module.requires_grad_(False)
    module.eval()  # returns None in some backbones
    return module


def load_student(path: str, arch: str | None = None) -> Student:
    """Load the student of a checkpoint.

    Args:
        path (str): Checkpoint of a pre-training, or an extracted, converted
            or published file.
        arch (str, optional): Name of its network, needed if the file does not
            record it. Defaults to None.

    Returns:
        Student: The backbone with the weights of the file.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it is not a checkpoint, does not record its network,
            contradicts ``arch``, or does not fit the network.
    """
    conversion = read_conversion(path)
    warn_assumed(conversion, f"'{path}'")
    try:
        network = find_network(conversion.meta, arch)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    network = network._replace(
        backbone={**network.backbone, **conversion.overrides},
        neck=conversion.neck or network.neck,
    )
    backbone = built(network.backbone, conversion.part('backbone'), f"'{path}'")
    return Student(network, backbone, conversion.part('neck'), conversion.meta)


class StudentFile:
    """File with the initial backbone of a detector's training.

    Args:
        path (str, optional): A pre-training checkpoint, an extracted backbone
            or a published file, in any layout that
            ``tools/convert_checkpoint.py`` supports. Defaults to None, which
            is an error in :meth:`read`.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self.sha256: str | None = None
        self.resumed = False  # whether the weights come from the run's checkpoint

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"student file '{self.path}'"

    def read(self, backbone: nn.Module) -> dict[str, Tensor]:
        """Read the tensors of the student's backbone.

        Args:
            backbone (nn.Module): Network for the tensors.

        Returns:
            dict[str, Tensor]: By this project's names, without prefix.

        Raises:
            InputError: If no file is set or it does not exist, its weights
                are not finite, or were trained with another norm eps or
                padding.
        """
        if self.path is None:
            raise InputError(
                'the student has no weights: pass --student '
                'CKPT, the checkpoint of its pre-training'
            )
        conversion = read_conversion(_existing(self.path))
        weights = conversion.part('backbone')
        check_settings(conversion, backbone, self.name, 'model.backbone')
        self.sha256 = sha256_of(self.path)
        return weights

    def note(self, checkpoint: dict) -> None:
        """Record the file in a checkpoint of the run."""
        checkpoint['meta']['student'] = dict(checkpoint=self.path, sha256=self.sha256)

    def check_resumed(self, checkpoint: dict) -> None:
        """Check that a resumed run started from the same student.

        Args:
            checkpoint (dict): Checkpoint of the run.

        Raises:
            InputError: If it started from another file.
        """
        self.resumed = True
        before = checkpoint.get('meta', {}).get('student')
        if before is None:
            return
        if self.path is None:
            self.path = before['checkpoint']
        elif self._digest() != before['sha256']:
            raise InputError(
                f"this run began with the student '{before['checkpoint']}' "
                f'(sha256 {str(before["sha256"])[:12]}), now it is '
                f"'{self.path}': resume with the same file, or start in "
                'another --work-dir'
            )
        self.sha256 = before['sha256']

    def _digest(self) -> str | None:
        if self.path is None or self.path == RANDOM:
            return None
        return sha256_of(_existing(self.path))


def _existing(path: str) -> str:
    if not Path(path).is_file():
        raise MissingFileError(f"student file '{path}' not found: pass --student CKPT")
    return path
