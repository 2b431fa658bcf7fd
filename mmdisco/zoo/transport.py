"""Transfer of a file's bytes, over http(s) or from a storage backend."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from mmengine.fileio import get_file_backend

from mmdisco.version import __version__

_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 18  # bytes
_PAGE = 'answers with a web page instead of the file: download it manually'


class Refused(Exception):
    """Permanent mirror failure: do not retry."""


class Gated(Refused):
    """A file of the Hugging Face Hub whose licence must be accepted first."""


class Broken(Refused):
    """Temporary mirror failure: retry."""


def receive(url: str, part: Path, verified: bool, report: Callable) -> bool:
    """Download the missing bytes of a partial file over http(s).

    A partial file is resumed only if a mismatch of its two halves would be
    detected: by the server, which compares the file's validator (If-Range), or
    by the final sha256, also across mirrors, which have different validators.
    Equal sizes prove nothing: two trainings of a network have the same size.

    Args:
        url (str): Address of the file.
        part (Path): The partial file.
        verified (bool): Whether the caller checks the sha256 in the end.
        report (Callable): Called with the bytes received and the total.

    Returns:
        bool: Whether the whole file was downloaded in this call.

    Raises:
        Broken: If the transfer may succeed next time.
        Refused: If it will not.
    """
    have, note = size_of(part), {}
    with suppress(OSError, ValueError):
        note = json.loads(note_of(part).read_text())
    same, size = note.get('url') == url, note.get('size')
    if have and have == size and (verified or same):
        return False  # killed between the last byte and the renaming
    mark = note.get('mark') if same else None
    headers = {}
    if have and (verified or mark):
        headers['Range'] = f'bytes={have}-'
        if mark:
            headers['If-Range'] = mark
    with _ask(url, headers) as response:
        if response.status < 400 and (
            response.headers.get_content_type() == 'text/html'
        ):
            raise Refused(_PAGE)
        start, total = 0, response.length  # None without Content-Length
        if response.status != 200:
            sent = re.fullmatch(
                r'bytes (\d+)-\d+/(\d+|\*)', response.headers.get('Content-Range', '')
            )
            start = int(sent[1]) if sent else -1
            total = int(sent[2]) if sent and sent[2] != '*' else size
            # Not all servers with ranges support If-Range.
            if (
                start != have
                or size not in (None, total)
                or (mark and _mark(response) not in (None, mark))
            ):
                drop(part)
                raise Broken('sends another file than before')
        note = dict(url=url, mark=_mark(response), size=total)
        _store(_body(response, start == 0), part, start, note, report)
    if total is not None and size_of(part) != total:
        raise Broken(f'breaks off at {size_of(part)} of {total} bytes')
    return start == 0


def copy(url: str, part: Path, verified: bool, report: Callable) -> bool:
    """Copy a file from an mmengine storage backend, always from the start.

    Same interface as :func:`receive`; these backends do not support ranges.
    """
    _store(_stored(url), part, 0, {}, report)
    return True


def _ask(url: str, headers: dict[str, str]):
    """Send a request; failures become :class:`Refused` or :class:`Broken`."""
    headers = {'User-Agent': f'mmdisco/{__version__}', **headers}
    try:
        return urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and 'Range' in headers:
            return error  # part longer than the file: it belongs to another file
        error.close()
        page, on_hub, _ = url.partition('/resolve/')
        if on_hub and error.code in (401, 403):
            raise Gated(
                f'answers {error.code} {error.reason}: log in, accept the licence on '
                f'{page}, download the file there'
            ) from error
        again = error.code >= 500 or error.code in (408, 429)
        raise (Broken if again else Refused)(
            f'answers {error.code} {error.reason}'
        ) from error
    except (OSError, HTTPException) as error:
        raise Broken(f"can't be reached: {getattr(error, 'reason', error)}") from error


def _body(response, from_zero: bool) -> Iterator[bytes]:
    """Chunks of a response; ``from_zero`` if they start at the first byte."""
    try:
        while chunk := response.read(_CHUNK):
            if from_zero and chunk.lstrip().startswith(b'<') and 0 not in chunk[:64]:
                raise Refused(_PAGE)
            from_zero = False
            yield chunk
    except (OSError, HTTPException) as error:
        raise Broken(f'breaks off: {error}') from error


def _stored(url: str) -> Iterator[bytes]:
    """Chunks of a file in an mmengine storage backend."""
    parsed = urlsplit(url)
    # mmengine's local backend needs a plain path
    source = url2pathname(parsed.path) if parsed.scheme == 'file' else url
    try:
        backend = get_file_backend(source)
        if not hasattr(backend, 'get_local_path'):
            yield backend.get(source)
            return
        with backend.get_local_path(source) as local:
            with open(local, 'rb') as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
    except Exception as error:  # backends raise their library's exceptions
        raise Refused(f"can't be read: {type(error).__name__}: {error}") from error


def _store(
    chunks: Iterator[bytes], part: Path, start: int, note: dict, report: Callable
) -> None:
    """Append to the partial file, or restart it if ``start`` is 0."""
    first = next(chunks, b'')  # may fail: before the file is truncated
    with open(part, 'ab' if start else 'wb') as file:
        if not start:  # the file is empty now, so the note always matches it
            note_of(part).write_text(json.dumps(note))
        for chunk in chain([first], chunks):
            file.write(chunk)
            report(file.tell(), note.get('size'))


def _mark(response) -> str | None:
    """Validator of the file (ETag or date), changes with its content."""
    tag = response.headers.get('ETag', 'W/')
    # weak tags may be equal for files with different bytes
    return response.headers.get('Last-Modified') if tag[:2] == 'W/' else tag


def size_of(part: Path) -> int:
    """Bytes of the partial file; 0 without one."""
    return part.stat().st_size if part.exists() else 0


def note_of(part: Path) -> Path:
    """File with URL, validator and size of the partial file."""
    return part.with_name(part.name + '.json')


def drop(part: Path) -> None:
    """Delete the partial file and its note."""
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)
