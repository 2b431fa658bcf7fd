"""The entry of a published file in a metafile of OpenMMLab's format."""

import re

import torch
import yaml
from mmengine.config import Config

from mmdisco.checkpoints.config_text import read_parts
from mmdisco.checkpoints.network import deployed
from mmdisco.checkpoints.student import Student
from mmdisco.paths import configs_root
from .complexity import multiply_adds
from .outputs import outputs_of
from .publish import Published


def _config_of(student: Student) -> str | None:
    """The config that trained it: the one of that name, if it agrees."""
    run = str(student.meta.get('experiment_name', ''))
    name = re.sub(r'_\d{8}_\d{6}$', '', run)
    found = [
        path
        for path in configs_root().rglob('*.py')
        if path.stem == name and '_base_' not in path.parts
    ]
    if len(found) != 1 or not isinstance(student.meta.get('cfg'), str):
        return None
    model = Config.fromfile(str(found[0])).model.to_dict()
    same = deployed(model.get('ssl', model)['backbone']) == deployed(
        read_parts(student.meta['cfg']).backbone
    )
    return str(found[0].relative_to(configs_root().parent)) if same else None


def entry_of(published: Published, size: int = 224) -> str:
    """Write the entry as YAML; what is not known is left out.

    Args:
        published (Published): The student.
        size (int): Height and width of the image that FLOPs are for.
            Defaults to 224.

    Raises:
        InputError: If the network does not take such images.
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
