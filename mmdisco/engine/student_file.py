from pathlib import Path

from torch import Tensor, nn

from mmdisco.converters import check_settings, read_conversion, sha256_of
from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch.student import RANDOM


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
        return None if self.path == RANDOM else sha256_of(_existing(self.path))


def _existing(path: str) -> str:
    if not Path(path).is_file():
        raise MissingFileError(f"student file '{path}' not found: pass --student CKPT")
    return path
