"""Files that are there only as a whole, and the same whenever written."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from mmdisco import __version__
from mmdisco.errors import InputError
from mmdisco.utils import atomic_write
from .safe_load import sha256_of


def origin(path: str) -> dict:
    """What a file that is made of a checkpoint says of that checkpoint."""
    return dict(
        source=Path(path).name, sha256=sha256_of(path), mmdisco_version=__version__
    )


# Endings of files of weights; others are what the name says, not weights.
TORCH = ('.pth', '.pt', '.tar', '.ckpt', '.bin', '.th', '.pyth', '.weights', '')
SAFETENSORS = '.safetensors'


def ending_of(path: str | Path) -> str:
    """The ending that names the format of a file of weights.

    Raises:
        InputError: If it is that of another format.
    """
    ending = Path(path).suffix.lower()
    if ending not in (*TORCH, SAFETENSORS):
        raise InputError(
            f"'{path}' would not be what '{ending}' says: name a file of "
            f'weights {", ".join(filter(None, TORCH))} or {SAFETENSORS}'
        )
    return ending


def reproducible_bytes(
    ending: str, state_dict: Mapping[str, Tensor], **content
) -> bytes:
    """A checkpoint as bytes that depend on nothing but its content.

    ``torch.save`` writes the name of a file into it, and of a view the whole
    tensor that it is a part of. safetensors holds tensors and strings: what
    is beside the tensors becomes one JSON text, ``meta``, which
    :func:`~mmdisco.checkpoints.safe_load` reads again; tuples become lists.

    Args:
        ending (str): Of :func:`ending_of`, by which the format is chosen.
        state_dict (dict): Tensors by key; written alone if nothing else is.
        content: Beside them, plain values.

    Raises:
        InputError: If such a file can't hold it.
    """
    try:
        own = {
            key: value.detach().cpu().clone().contiguous()
            for key, value in state_dict.items()
        }
        if ending == SAFETENSORS:
            return _sorted_metadata(
                save(
                    own,
                    {
                        'format': 'pt',
                        **{
                            key: json.dumps(value, sort_keys=True)
                            for key, value in content.items()
                        },
                    },
                )
            )
        buffer = io.BytesIO()
        torch.save(dict(state_dict=own, **content) if content else own, buffer)
        return buffer.getvalue()
    # sparse or quantized tensors, or a value that JSON lacks
    except (TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f'a file of weights *{ending} can not hold it: {error}'
        ) from error


def _sorted_metadata(data: bytes) -> bytes:
    """The same file with its metadata in order.

    safetensors writes them in an order that is random in each process.
    """
    begin = 8 + int.from_bytes(data[:8], 'little')  # of the numbers
    header = json.loads(data[8:begin])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + data[begin:]


def save_weights(path: str | Path, state_dict: Mapping[str, Tensor], **content) -> None:
    """Write a checkpoint of :func:`reproducible_bytes`.

    Raises:
        InputError: If ``path`` is a folder, can't be written, or is named as
            another format.
    """
    data = reproducible_bytes(ending_of(path), state_dict, **content)
    with atomic_write(path) as half:
        half.write_bytes(data)
