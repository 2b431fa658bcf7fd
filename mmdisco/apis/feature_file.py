"""Features with the names of their images, in a file of three formats."""

import json
import os
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mmdisco.errors import InputError
from mmdisco.utils import atomic_write
from .photos import Extracted

ROWS = 4096  # of a row group


def _write_npz(path: Path, found: Extracted, header: str) -> None:
    np.savez(
        path,
        names=np.array(found.names),
        features=found.features,
        header=np.array(header),
    )


def _write_npy(path: Path, found: Extracted, header: str) -> None:
    np.save(path, found.features)


def _write_parquet(path: Path, found: Extracted, header: str) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    dim = found.features.shape[1]
    value = pa.from_numpy_dtype(found.features.dtype)
    schema = pa.schema(
        [('name', pa.string()), ('feature', pa.list_(value, dim))], dict(header=header)
    )
    with ParquetWriter(path, schema) as writer:
        for start in range(0, len(found.names), ROWS):
            part = slice(start, start + ROWS)
            flat = pa.array(found.features[part].reshape(-1))
            writer.write_table(
                pa.Table.from_arrays(
                    [
                        pa.array(found.names[part], pa.string()),
                        pa.FixedSizeListArray.from_arrays(flat, dim),
                    ],
                    schema=schema,
                )
            )


FORMATS = {'.npz': _write_npz, '.npy': _write_npy, '.parquet': _write_parquet}


def check_out(out: Path) -> None:
    """See that features can be written there, before they are extracted.

    Args:
        out (Path): File to write; its folder is made.

    Raises:
        InputError: If it is of no known format, a folder, or its folder can't
            be made, or a package is missing.
    """
    if out.suffix not in FORMATS:
        raise InputError(
            f"'{out}' is of no known format: should end in {', '.join(FORMATS)}"
        )
    if out.suffix == '.parquet' and find_spec('pyarrow') is None:
        raise InputError(
            f"'{out}' needs the package pyarrow: pip install pyarrow, or write .npz"
        )
    if out.is_dir():
        raise InputError(f"'{out}' is a folder: name the file to write")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(out.parent, os.W_OK):
            raise PermissionError(f"no right to write to '{out.parent}'")
    except OSError as error:
        raise InputError(f"'{out}' can't be written: {error}") from error


def write_features(out: Path, found: Extracted, header: dict) -> None:
    """Write features, all files or none.

    Beside the file are ``OUT.skipped.txt``, if images were skipped, and of
    .npy ``OUT.names.txt``, one name a line.

    Args:
        out (Path): .npz with ``names``, ``features`` and ``header``, JSON;
            .npy with the features; or .parquet with the columns ``name`` and
            ``feature``, lists of one size, and ``header`` in its metadata.
        found (Extracted): What to write.
        header (dict): What made them, in JSON's types.

    Raises:
        InputError: If a file can't be written.
    """
    lists = dict(skipped=found.skipped)
    if out.suffix == '.npy':
        lists['names'] = found.names
    with ExitStack() as files:  # none is put in place before all are whole
        whole = files.enter_context(atomic_write(out))
        FORMATS[out.suffix](whole, found, json.dumps(header))
        for key, names in lists.items():
            path = out.with_name(f'{out.name}.{key}.txt')
            if names:
                half = files.enter_context(atomic_write(path))
                half.write_text(
                    ''.join(f'{name}\n' for name in names), encoding='utf-8'
                )
            else:  # of a former run
                path.unlink(missing_ok=True)
