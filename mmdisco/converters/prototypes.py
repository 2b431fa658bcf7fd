from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmdisco.errors import InputError
from .safe_load import safe_load
from .wrappers import bare_names

# Where a file keeps norms and directions of DINO's last layer: the entry of
# the file, the ends of both keys. First as DINO publishes it, then ours.
_PLACES = (
    ('teacher', 'head.last_layer.weight_g', 'head.last_layer.weight_v'),
    *(
        (
            'state_dict',
            f'{ssl}head.last_layer.parametrizations.weight.original0',
            f'{ssl}head.last_layer.parametrizations.weight.original1',
        )
        for ssl in ('', 'ssl.')
    ),
)


class Prototypes(NamedTuple):
    """The last layer of DINO, and the centre of its outputs."""

    prototypes: Tensor  # [K, D]
    center: Tensor  # [1, K]


def read_prototypes(path: str) -> Prototypes:
    """Read DINO's last layer from a checkpoint of its pre-training.

    Args:
        path (str): DINO's full checkpoint, or one of :class:`DINO`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no last layer.
    """
    loaded = safe_load(path)
    for group, norms, directions in _PLACES:
        content = loaded.get(group) if isinstance(loaded, dict) else None
        tensors, _ = bare_names(content or {})
        if directions in tensors and norms in tensors:
            rows = normalize(tensors[directions].float(), dim=1)
            center = tensors.get(norms.split('last_layer')[0] + 'center')
            if center is None:
                center = (loaded.get('dino_loss') or {}).get('center')
            if center is None:
                center = torch.zeros(1, len(rows))
            return Prototypes(rows * tensors[norms].float(), center.float())
    raise InputError(
        f"'{path}' has no last layer of DINO: use the full "
        'checkpoint of the pre-training'
    )
