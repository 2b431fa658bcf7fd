"""Load files of weights without running code."""

import codecs
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.utils import digit_version
from safetensors import safe_open
from safetensors.torch import load_file

from mmdisco.errors import InputError, MissingFileError

_INDEX = '.safetensors.index.json'
_WHOLE = 'model.safetensors'


def sha256_of(path: str | Path) -> str:
    """Hexadecimal sha256 of a file.

    That of a folder or of an index of several files (see :func:`safe_load`) is of
    the single file, or of the text of the sha256 of all of them, by name.
    """
    files = _parts(path)
    if len(files) == 1:
        with open(files[0], 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    return hashlib.sha256(''.join(map(sha256_of, files)).encode()).hexdigest()


def exists(path: str | Path) -> bool:
    """Whether a file of weights exists, or a folder of one."""
    return Path(path).is_file() or Path(path).is_dir()


def _index_of(path: str | Path) -> Path:
    """The index or the file in a folder of transformers; another path as it is.

    Raises:
        MissingFileError: If the folder has neither.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    for name in (f'model{_INDEX}', _WHOLE):
        if (path / name).is_file():
            return path / name
    raise MissingFileError(
        f"folder '{path}' has neither '{_WHOLE}' nor 'model{_INDEX}': name the file"
    )


def _weight_map(index: Path) -> dict[str, str]:
    """File by key of an index.

    Raises:
        InputError: If it is not an index.
    """
    try:
        weight_map = json.loads(index.read_text())['weight_map']
        return {str(key): str(file) for key, file in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{index}' is not an index of safetensors: it has no 'weight_map'"
        ) from error


def _parts(path: str | Path) -> list[Path]:
    """Files of a path: itself, or those of an index or a folder, by name.

    Raises:
        MissingFileError: If a file of the index does not exist.
    """
    path = _index_of(path)
    if not path.name.endswith(_INDEX) or not path.is_file():
        return [path]
    files = [path.parent / name for name in sorted({*_weight_map(path).values()})]
    for file in files:
        if not file.is_file():
            raise MissingFileError(
                f"'{file}' not found, one of {len(files)} files of '{path}': "
                'download all of them'
            )
    return files


def _load_shards(index: Path) -> dict:
    """Tensors of all files of an index; each must have its keys and no others."""
    tensors: dict = {}
    weight_map = _weight_map(index)
    for file in _parts(index):
        loaded = load_file(file)
        expected = {key for key, name in weight_map.items() if name == file.name}
        if loaded.keys() != expected:
            other = sorted(loaded.keys() ^ expected)
            raise InputError(
                f"'{file}' and '{index}' differ in {len(other)} keys, e.g. "
                f'{other[0]}: download both again'
            )
        tensors |= loaded
    return tensors


class _Unread:
    """Stand-in for unneeded objects: accepts any state and drops it."""

    def __setstate__(self, state) -> None:
        pass


def _no_attribute(owner, name: str) -> None:
    """Stand-in for getattr, which would give a pickle access to anything."""


def _allowed() -> list:
    """Globals allowed in checkpoints besides tensors.

    mmengine's histories of logged values and DINO's arguments, both dropped,
    and numpy arrays under the module names of numpy 1 and 2.
    """
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
    encode = (codecs.encode, '_codecs.encode')  # of bytes; torch 2.6 allows it itself
    return [bytes, np.ndarray, np.dtype, encode, *unread, *named, *kinds]


@contextmanager
def _safe_globals() -> Iterator[None]:
    """Allow these globals; before torch 2.6 they could not have names of their own."""
    allowed = _allowed()
    if digit_version(torch.__version__) >= digit_version('2.6.0'):
        with torch.serialization.safe_globals(allowed):
            yield
        return
    unpickler: Any = torch._weights_only_unpickler
    own = unpickler._get_user_allowed_globals
    pairs = (
        one if isinstance(one, tuple) else (one, f'{one.__module__}.{one.__name__}')
        for one in allowed
    )
    named = {name: one for one, name in pairs}
    unpickler._get_user_allowed_globals = lambda: {**own(), **named}
    try:
        yield
    finally:
        unpickler._get_user_allowed_globals = own


def _what_it_is(path: str) -> str:
    """Describe a file that is not a checkpoint, from its first bytes."""
    with open(path, 'rb') as file:
        start = file.read(512).lstrip().lower()
    if not start:
        return 'an empty file'
    if start.startswith((b'<!doctype', b'<html', b'<?xml')):
        return 'a web page: the link is dead, or needs a browser'
    if zipfile.is_zipfile(path):
        return 'a zip archive, but not one of torch.save'
    if start.startswith(b'pk'):
        return 'an incomplete file: download it again'
    return 'an incomplete file, or another kind of file'


def _is_safetensors(path: str) -> bool:
    """Detect the format by its content: header length, then JSON."""
    with open(path, 'rb') as file:
        return file.read(9)[8:] == b'{'


def _load_safetensors(path: str) -> dict:
    """Tensors by key, or ``state_dict`` and ``meta`` if it has metadata."""
    tensors = load_file(path)
    with safe_open(path, framework='pt') as file:
        metadata = file.metadata() or {}
    try:
        meta = json.loads(metadata.get('meta', 'null'))
    except ValueError:  # text by another program
        meta = None
    return tensors if meta is None else dict(state_dict=tensors, meta=meta)


def safe_load(path: str, trust: bool = False) -> dict:
    """Load a checkpoint without running code from it.

    Tensors, plain values and numpy arrays are read; mmengine's histories of
    logged values and the arguments of public training scripts are dropped;
    anything else is an error.

    Args:
        path (str): A ``torch.save`` or safetensors file, an index of several
            safetensors files (``*.safetensors.index.json``), or a folder with
            ``model.safetensors`` or its index. This project's metadata in a
            safetensors file is read, too; the tensors are then in ``state_dict``,
            as in a ``torch.save`` file.
        trust (bool): Load any content, which may run code. Defaults to False.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If it is not a checkpoint, or has more than weights.
    """
    if not exists(path):
        raise MissingFileError(f"checkpoint '{path}' not found")
    path = str(_index_of(path))
    if str(path).lower().endswith('.safetensors') and zipfile.is_zipfile(path):
        raise InputError(
            f"'{path}' is a torch.save file with the ending of "
            'safetensors: rename it to *.pth, or write it again'
        )
    try:
        if path.endswith(_INDEX):
            return _load_shards(Path(path))
        if _is_safetensors(path):
            return _load_safetensors(path)
        with _safe_globals():
            return torch.load(path, map_location='cpu', weights_only=not trust)
    except UnpicklingError as error:
        needs = re.search(r'GLOBAL (\S+)', str(error))
        if not needs:
            raise InputError(
                f"'{path}' is not a PyTorch checkpoint: {_what_it_is(path)}"
            ) from error
        raise InputError(
            f"'{path}' can't be loaded safely, it holds more than weights "
            f'({needs[1]}): get a file with only weights, or convert it with '
            'tools/convert_checkpoint.py --trust, which runs code from the file'
        ) from error
    except InputError:
        raise
    except Exception as error:  # a broken file may raise anything
        raise InputError(
            f"'{path}' is not a PyTorch checkpoint: {_what_it_is(path)}"
        ) from error
