"""Downloads that resume, fall back to mirrors and are verified by sha256."""

import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from mmdisco.checkpoints import sha256_of
from mmdisco.errors import InputError, MissingFileError
from .transport import (
    Broken,
    Gated,
    Refused,
    copy,
    drop,
    note_of,
    receive,
    size_of,
)

PAUSE = 1.0  # seconds before the second attempt; doubles with each failure


def check_file(path: str | Path, sha256: str | None = None) -> str:
    """Verify an existing file.

    Args:
        path (str or Path): The file.
        sha256 (str, optional): Expected sha256. Defaults to None, unknown.

    Returns:
        str: Hexadecimal sha256 of the file.

    Raises:
        MissingFileError: If the file does not exist.
        InputError: If the file can't be read or has another sha256.
    """
    try:
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, 'is a directory')
        digest = sha256_of(path)
    except FileNotFoundError as error:
        raise MissingFileError(f"'{path}' not found") from error
    except OSError as error:
        raise InputError(f"can't read '{path}': {error.strerror}") from error
    if sha256 and digest != sha256.lower():
        raise InputError(
            f"'{path}' is damaged or another file: its sha256 is {digest}, "
            f'not {sha256.lower()}; delete it or use another folder'
        )
    if not sha256 and is_text(path):
        raise InputError(f"'{path}' is a text file, not a checkpoint: delete it")
    return digest


def is_text(path: str | Path) -> bool:
    """Whether a file starts with printable ASCII, as a checkpoint never does."""
    with open(path, 'rb') as file:
        start = file.read(64)
    return (
        bool(start)
        and start.isascii()
        and all(byte >= 32 or byte in b'\t\n\r' for byte in start)
    )


def fetch(
    urls: Sequence[str],
    path: str | Path,
    sha256: str | None = None,
    retries: int = 4,
    progress: bool = True,
) -> str:
    """Download a file from the first mirror that serves it completely.

    A partial download is kept in ``{path}.part`` and, over http(s), resumed in
    this call or a later one. Only a complete file is renamed to ``path``,
    replacing an existing one.

    Args:
        urls (Sequence[str]): Mirrors: http, https, file, or a scheme of
            mmengine's storage backends.
        path (str or Path): File to write; its folder is created.
        sha256 (str, optional): Expected sha256. Defaults to None, unknown.
        retries (int): Consecutive failures without progress before the next
            mirror is tried. Defaults to 4.
        progress (bool): Whether to show a progress bar on a terminal.

    Returns:
        str: Hexadecimal sha256 of the file.

    Raises:
        InputError: If no mirror serves the file, or it can't be written.
    """
    path, part = Path(path), Path(f'{path}.part')
    reasons: list[str] = []
    err = Console(stderr=True)
    bar = Progress(
        *Progress.get_default_columns(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=err,
        transient=True,
        disable=not (progress and err.is_terminal),
    )
    task = bar.add_task(path.name, total=None)

    def report(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with bar:
            for url in urls:
                try:
                    digest = _from_mirror(url, part, sha256, retries, report)
                except Refused as error:
                    reasons.append(f'{url} ' + ' '.join(str(error).split()))
                    if isinstance(error, Gated):
                        reasons[-1] += f" and put it at '{path}'"
                    continue
                os.replace(part, path)
                note_of(part).unlink(missing_ok=True)
                return digest
    except OSError as error:  # of the disk: network errors become Refused
        raise InputError(f"can't write '{path}': {error.strerror}") from error
    raise InputError(
        f"'{path.name}' could not be downloaded: "
        + '; '.join(reasons or ['no URL is known'])
    )


def _from_mirror(
    url: str, part: Path, sha256: str | None, retries: int, report: Callable
) -> str:
    """Complete the partial file from this mirror; returns its sha256."""
    get = receive if urlsplit(url).scheme in ('http', 'https') else copy
    furthest = failures = 0
    while True:
        try:
            from_zero = get(url, part, sha256 is not None, report)
        except Broken:
            # Compare with the furthest position ever: a server that ignores
            # ranges and always breaks off makes no progress.
            failures = 0 if size_of(part) > furthest else failures + 1
            furthest = max(furthest, size_of(part))
            if failures >= retries:
                raise
            time.sleep(min(PAUSE * 2**failures, 10))
            continue
        digest = sha256_of(part)
        if sha256 is None and is_text(part):
            drop(part)
            raise Refused('sends a text file, not a checkpoint')
        if sha256 is None or digest == sha256.lower():
            return digest
        drop(part)
        if from_zero:
            raise Refused(f'sends a file with sha256 {digest}, not {sha256}')
        # The first part may have come from another file: start again.
