"""Published files of torchvision for its own networks, read strictly."""

import re
from typing import Any

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError
from .checkpoint import check_finite, check_fit
from .timm_layouts import FILE_ENTRIES, LibraryWeights, weights_of
from .wrappers import bare_names

# DenseNet's files have the names of torchvision 0.1: 'denselayer1.norm.1.weight'
_DENSE = re.compile(r'(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)')
_COUNTER = 'num_batches_tracked'  # of BN, not in old files
# published weights of these need another normalisation inside the network
_TRANSFORM_INPUT = ('googlenet', 'inception_v3')


def read_torchvision(
    loaded: Any, path: str, network: nn.Module, name: str, classifier: str
) -> LibraryWeights:
    """Read weights for a network of torchvision; every tensor must fit.

    Args:
        loaded (dict): Content of the file.
        path (str): The file, for messages.
        network (nn.Module): The network, without its classifier.
        name (str): Its name in torchvision.
        classifier (str): Name of the layer that is left out.

    Raises:
        InputError: If a tensor is missing, unexpected, of another shape or not
            finite; or if the network needs its images transformed.
    """
    if name in _TRANSFORM_INPUT:
        raise InputError(
            f"'{path}': torchvision's weights of '{name}' need images of another "
            f"normalisation (transform_input): use timm's '{name}'"
        )
    published, beside = weights_of(loaded)
    if not published:
        raise InputError(f"'{path}': it has no tensors")
    tensors, keys = bare_names(published)
    left_out: dict[str, list[str]] = {FILE_ENTRIES: beside} if beside else {}
    expected, weights = network.state_dict(), dict[str, Tensor]()
    for key, value in tensors.items():
        renamed = _DENSE.sub(r'\1\2', key)
        if key.startswith(f'{classifier}.') and renamed not in expected:
            left_out.setdefault('classifier', []).append(keys[key])
        else:
            weights[renamed] = value
    counters = [k for k in expected if k.endswith(_COUNTER) and k not in weights]
    weights |= {key: torch.zeros_like(expected[key]) for key in counters}
    check_fit(expected, weights, f"'{path}' for torchvision's '{name}'")
    check_finite(weights, f"'{path}'")
    note = f'{len(counters)} counters of batches added' if counters else ''
    return LibraryWeights('torchvision', weights, left_out, note)
