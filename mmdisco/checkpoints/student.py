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
    """A trained network, ready to be used."""

    network: Network  # configs, and the name here
    backbone: nn.Module  # in eval mode, no gradients
    neck_weights: dict[str, Tensor]  # empty if the file has no neck
    meta: Mapping  # what the file says of itself


def built(config: dict, weights: Mapping, name: str) -> nn.Module:
    """Build a network for inference, its weights loaded strictly.

    Args:
        config (dict): Of the network.
        weights (dict): All of its tensors, by its own keys.
        name (str): What the weights are, for the message.

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
    load_strictly(module, dict(weights), name)
    module.requires_grad_(False)
    module.eval()  # returns None in some backbones
    return module


def load_student(path: str, arch: str | None = None) -> Student:
    """Load the student of a checkpoint, whatever made it.

    Args:
        path (str): Checkpoint of a pre-training, an extracted, converted or
            published file.
        arch (str, optional): Its name, needed if the file does not tell.
            Defaults to None.

    Returns:
        Student: The backbone with the weights of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, does not tell its network, is
            of another one than ``arch``, or does not fit it.
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
    """The file that a training takes its backbone from.

    Args:
        path (str, optional): A checkpoint of a pre-training, a backbone
            alone, or a published file, of any layout that
            ``tools/convert_checkpoint.py`` knows. None, the default, is an
            error when it is read.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self.sha256: str | None = None
        self.resumed = False  # is the student in a checkpoint of the run?

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"student file '{self.path}'"

    def read(self, backbone: nn.Module) -> dict[str, Tensor]:
        """Read the tensors of the student's backbone.

        Args:
            backbone (nn.Module): That they are for.

        Returns:
            dict[str, Tensor]: By the names of this project, without prefix.

        Raises:
            InputError: If there is no file, its weights are no numbers, or
                were learned with another epsilon of norms or padding.
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
        """Note the file in a checkpoint of the run."""
        checkpoint['meta']['student'] = dict(checkpoint=self.path, sha256=self.sha256)

    def check_resumed(self, checkpoint: dict) -> None:
        """Compare with the student that a resumed run began with.

        Args:
            checkpoint (dict): Of the run.

        Raises:
            InputError: If it was another one.
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
