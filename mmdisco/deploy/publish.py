"""Publication of a student: a file with its hash in the name, a metafile entry."""

import hashlib
import re
from pathlib import Path

import torch
import yaml
from mmengine.config import Config
from torch import nn

from mmdisco.checkpoints.config_text import kept_normalisation, read_parts
from mmdisco.checkpoints.network import deployed
from mmdisco.checkpoints.save import ending_of, origin, reproducible_bytes
from mmdisco.checkpoints.student import Student, built, load_student
from mmdisco.errors import InputError
from mmdisco.models.outputs import outputs_of
from mmdisco.paths import configs_root
from mmdisco.utils import atomic_write
from .complexity import multiply_adds


def _neck(student: Student, checkpoint: str) -> nn.Module:
    if not student.neck_weights:
        raise InputError(
            f"'{checkpoint}' has no neck: leave out --with-neck, "
            'or use the original pre-training checkpoint'
        )
    if not student.network.neck:
        raise InputError(
            f"'{checkpoint}' does not record the settings of its "
            'neck: leave out --with-neck'
        )
    return built(student.network.neck, student.neck_weights, f"neck of '{checkpoint}'")


class Published:
    """A student without training state, with its hash in the file name.

    Args:
        checkpoint (str): Any file that :func:`load_student` reads.
        out (str): Output path: 'folder/name.pth' becomes
            'folder/name-1a2b3c4d.pth', 'name.safetensors' likewise, and
            'name' is 'name.pth'.
        with_neck (bool): Keep the neck, which a teacher needs. Defaults to
            False.
        arch (str, optional): Name of the network, if the file does not record
            it.

    Attributes:
        content (bytes): Content of the file, the same for the same input.
        sha256 (str): Its hexadecimal sha256.
        path (Path): File to write.

    Raises:
        InputError: If the file can't be used or lacks the requested neck, or
            ``out`` is a folder or has another format's ending.
    """

    def __init__(
        self,
        checkpoint: str,
        out: str,
        with_neck: bool = False,
        arch: str | None = None,
    ) -> None:
        if Path(out).is_dir():
            raise InputError(f"'{out}' is a folder: name the file to write")
        ending = ending_of(out) or '.pth'
        self.student = load_student(checkpoint, arch)
        self.origin = origin(checkpoint)
        network = self.student.network
        parts = dict(backbone=self.student.backbone)
        meta = dict(
            arch=network.arch,
            algorithm=network.algorithm,
            backbone=network.backbone,
            **kept_normalisation(self.student.meta),
        )
        if with_neck:
            parts['neck'] = _neck(self.student, checkpoint)
            meta['neck'] = network.neck
        known = {key: value for key, value in meta.items() if value}
        weights = {
            f'{part}.{key}': value
            for part, module in parts.items()
            for key, value in module.state_dict().items()
        }
        self.content = reproducible_bytes(
            ending, weights, meta={**known, **self.origin}
        )
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        stem = Path(out).name.removesuffix(Path(out).suffix)
        self.path = Path(out).with_name(f'{stem}-{self.sha256[:8]}{ending}')

    def write(self) -> None:
        """Write the file.

        Raises:
            InputError: If it can't be written.
        """
        with atomic_write(self.path) as half:
            half.write_bytes(self.content)


def _config_of(student: Student) -> str | None:
    """Path of the training config: same name and same backbone; else None."""
    run = str(student.meta.get('experiment_name', ''))
    name = re.sub(r'_\d{8}_\d{6}$', '', run)
    configs = [
        path
        for path in configs_root().rglob('*.py')
        if path.stem == name and '_base_' not in path.parts
    ]
    if len(configs) != 1 or not isinstance(student.meta.get('cfg'), str):
        return None
    model = Config.fromfile(str(configs[0])).model.to_dict()
    same = deployed(model.get('ssl', model)['backbone']) == deployed(
        read_parts(student.meta['cfg']).backbone
    )
    return str(configs[0].relative_to(configs_root().parent)) if same else None


def entry_of(published: Published, size: int = 224) -> str:
    """Format the metafile entry as YAML; unknown fields are left out.

    Args:
        published (Published): The student.
        size (int): Height and width of the image for FLOPs. Defaults to 224.

    Raises:
        InputError: If the network does not take images of this size.
    """
    student = published.student
    outputs_of(student.backbone, torch.zeros(1, 3, size, size))
    count = sum(p.numel() for p in student.backbone.parameters())
    epochs = student.meta.get('epoch')
    origin = published.origin
    entry = {
        'Name': published.path.stem.rsplit('-', 1)[0],
        'In Collection': student.network.algorithm,
        'Metadata': {
            key: value
            for key, value in {
                'Architecture': student.network.arch,
                'Epochs': epochs if isinstance(epochs, int) else None,
                'Resolution': size,
                'Parameters': count,
                'FLOPs': multiply_adds(student.backbone, size),
                'SHA256': published.sha256,
                'Source': f'{origin["source"]}, sha256 {origin["sha256"]}',
            }.items()
            if value is not None
        },
        'Weights': published.path.name,
        'Config': _config_of(student),
    }
    known = {key: value for key, value in entry.items() if value is not None}
    return yaml.safe_dump(dict(Models=[known]), sort_keys=False, width=79)
