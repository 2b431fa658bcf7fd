"""Write files of weights: completely or not at all, and reproducibly."""

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
    """Metadata that names the source checkpoint of a file."""
    return dict(
        source=Path(path).name, sha256=sha256_of(path), mmdisco_version=__version__
    )


# Endings of files of weights.
TORCH = ('.pth', '.pt', '.tar', '.ckpt', '.bin', '.th', '.pyth', '.weights', '')
SAFETENSORS = '.safetensors'


def ending_of(path: str | Path) -> str:
    """File ending, which selects the format of a file of weights.

    Raises:
        InputError: If it belongs to another format.
    """
    ending = Path(path).suffix.lower()
    if ending not in (*TORCH, SAFETENSORS):
        raise InputError(
            f"'{path}': '{ending}' is not an ending of weights: use "
            f'{", ".join(filter(None, TORCH))} or {SAFETENSORS}'
        )
    return ending


def reproducible_bytes(
    ending: str, state_dict: Mapping[str, Tensor], **content
) -> bytes:
    """Serialise a checkpoint to bytes that depend only on its content.

    ``torch.save`` would write the file name, and the whole storage of a view.
    safetensors only holds tensors and strings: other content is written as
    JSON, which :func:`~mmdisco.checkpoints.safe_load` reads again; tuples
    become lists.

    Args:
        ending (str): Result of :func:`ending_of`, selects the format.
        state_dict (dict): Tensors by key; the whole file without ``content``.
        content: Further entries of the file, plain values.

    Raises:
        InputError: If the format can't hold the content.
    """
    try:
        tensors = {
            key: value.detach().cpu().clone().contiguous()
            for key, value in state_dict.items()
        }
        if ending == SAFETENSORS:
            return _sorted_metadata(
                save(
                    tensors,
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
        torch.save(dict(state_dict=tensors, **content) if content else tensors, buffer)
        return buffer.getvalue()
    # sparse or quantized tensors, or a value without JSON form
    except (TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f'a *{ending} file cannot hold these weights: {error}'
        ) from error


def _sorted_metadata(data: bytes) -> bytes:
    """Sort the metadata of a safetensors file.

    The order written by safetensors is random in each process.
    """
    begin = 8 + int.from_bytes(data[:8], 'little')  # offset of the tensors
    header = json.loads(data[8:begin])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + data[begin:]


def save_weights(path: str | Path, state_dict: Mapping[str, Tensor], **content) -> None:
    """Write a checkpoint, see :func:`reproducible_bytes`.

    Raises:
        InputError: If ``path`` is a folder, can't be written, or has another
            format's ending.
    """
    data = reproducible_bytes(ending_of(path), state_dict, **content)
    with atomic_write(path) as half:
        half.write_bytes(data)
