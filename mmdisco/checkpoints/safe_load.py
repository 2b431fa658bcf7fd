import hashlib
import json
import re
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from mmdisco.errors import InputError, MissingFileError


def sha256_of(path: str | Path) -> str:
    """Hexadecimal sha256 of a file."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


class _Unread:
    """Stands for what is not needed: takes any state and keeps none."""

    def __setstate__(self, state) -> None:
        pass


def _no_attribute(owner, name: str) -> None:
    """Stands for getattr, by which a pickle could reach anything."""


def _allowed() -> list:
    """What checkpoints hold beside tensors: mmengine's histories of logged
    values and DINO's arguments, which are not read, and numpy arrays under
    the module names of numpy 1 and 2."""
    reconstruct: Any = np.empty(0).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    named = [
        (function, f'numpy.{core}.multiarray.{function.__name__}')
        for function in (reconstruct, scalar)
        for core in ('core', '_core')
    ]
    kinds = {type(np.dtype(k)) for k in ('f8', 'f4', 'i8', 'i4', 'b1', 'u1')}
    unread = [
        (_Unread, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_Unread, 'argparse.Namespace'),
        (_no_attribute, 'builtins.getattr'),
    ]
    return [bytes, np.ndarray, np.dtype, *unread, *named, *kinds]


def _what_it_is(path: str) -> str:
    """Why a file is no checkpoint, by how it begins."""
    with open(path, 'rb') as file:
        start = file.read(512).lstrip().lower()
    if not start:
        return 'an empty file'
    if start.startswith((b'<!doctype', b'<html', b'<?xml')):
        return (
            'a web page under that name: the link is dead, or wants a '
            'click in a browser'
        )
    if zipfile.is_zipfile(path):
        return 'a zip archive, but not one of torch.save'
    if start.startswith(b'pk'):
        return 'half a file: download it again'
    return 'half a file, or something else under that name'


def _is_safetensors(path: str) -> bool:
    """By its content: the length of a header, which is JSON."""
    with open(path, 'rb') as file:
        return file.read(9)[8:] == b'{'


def _load_safetensors(path: str) -> dict:
    """Tensors by key, or as ``state_dict`` beside what was saved with it."""
    tensors = load_file(path)
    with safe_open(path, framework='pt') as file:
        metadata = file.metadata() or {}
    try:
        meta = json.loads(metadata.get('meta', 'null'))
    except ValueError:  # somebody else's, in words
        meta = None
    return tensors if meta is None else dict(state_dict=tensors, meta=meta)


def safe_load(path: str, trust: bool = False) -> dict:
    """Load a checkpoint without running code that it may hold.

    Tensors, plain values and numpy arrays are read; mmengine's histories of
    logged values and the arguments of public training scripts are left out,
    anything else is refused.

    Args:
        path (str): A file of ``torch.save``, or of safetensors. What this
            project wrote into the metadata of the latter is read, too: then
            the tensors are in ``state_dict``, as in the former.
        trust (bool): Load whatever it holds, which may run code.
            Defaults to False.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or needs more than weights.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"checkpoint '{path}' not found")
    if str(path).lower().endswith('.safetensors') and zipfile.is_zipfile(path):
        raise InputError(
            f"'{path}' is a file of torch.save under the name of "
            'safetensors: rename it to *.pth, or write it anew'
        )
    try:
        if _is_safetensors(path):
            return _load_safetensors(path)
        with torch.serialization.safe_globals(_allowed()):
            return torch.load(path, map_location='cpu', weights_only=not trust)
    except UnpicklingError as error:
        needs = re.search(r'GLOBAL (\S+)', str(error))
        if not needs:
            raise InputError(
                f"'{path}' is no PyTorch checkpoint: {_what_it_is(path)}"
            ) from error
        raise InputError(
            f"'{path}' can't be loaded safely, it holds more than weights "
            f'({needs[1]}): ask for a file of weights, or convert it by '
            'tools/convert_checkpoint.py --trust, which runs what it holds'
        ) from error
    except Exception as error:  # a junk file raises whatever it hits first
        raise InputError(
            f"'{path}' is no PyTorch checkpoint: {_what_it_is(path)}"
        ) from error
