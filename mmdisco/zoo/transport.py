"""Receive the bytes of a file over http(s) or from a storage backend."""

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

_SILENCE = 30  # seconds without a reply before a server is given up
_CHUNK = 1 << 18  # bytes
_PAGE = 'answers with a web page, not a file: download it manually'


class Refused(Exception):
    """Permanent failure of a mirror: do not retry."""


class Broken(Refused):
    """Temporary failure of a mirror: retry."""


def receive(url: str, part: Path, sure: bool, report: Callable) -> bool:
    """Request the missing bytes; return whether the download began at zero.

    A part is continued only if mismatched halves would be detected: by the
    server, which compares the file's mark (If-Range), or, across mirrors with
    other marks, by the final sha256 (``sure``). Equal sizes are not enough:
    two trainings of one network have equal sizes.
    """
    have, note = size_of(part), {}
    with suppress(OSError, ValueError):
        note = json.loads(note_of(part).read_text())
    same, size = note.get('url') == url, note.get('size')
    if have and have == size and (sure or same):
        return False  # killed between the last byte and the new name
    mark = note.get('mark') if same else None
    headers = {}
    if have and (sure or mark):
        headers['Range'] = f'bytes={have}-'
        if mark:
            headers['If-Range'] = mark
    with _ask(url, headers) as response:
        if response.status < 400 and (
            response.headers.get_content_type() == 'text/html'
        ):
            raise Refused(_PAGE)
        start, total = 0, response.length  # None if the server does not send it
        if response.status != 200:
            sent = re.fullmatch(
                r'bytes (\d+)-\d+/(\d+|\*)', response.headers.get('Content-Range', '')
            )
            start = int(sent[1]) if sent else -1  # not the end of the part
            total = int(sent[2]) if sent and sent[2] != '*' else size
            # some servers support ranges but not If-Range
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


def copy(url: str, part: Path, sure: bool, report: Callable) -> bool:
    """Like receive, by mmengine's storage backends, which have no ranges."""
    _store(_stored(url), part, 0, {}, report)
    return True


def _ask(url: str, headers: dict[str, str]):
    """Send a request; raise with the reason if it fails."""
    headers = {'User-Agent': f'mmdisco/{__version__}', **headers}
    try:
        return urlopen(Request(url, headers=headers), timeout=_SILENCE)
    except HTTPError as error:
        if error.code == 416 and 'Range' in headers:
            return error  # the part is longer than the file: another file
        error.close()
        again = error.code >= 500 or error.code in (408, 429)
        raise (Broken if again else Refused)(
            f'answers {error.code} {error.reason}'
        ) from error
    except (OSError, HTTPException) as error:
        raise Broken(f"can't be reached: {getattr(error, 'reason', error)}") from error


def _body(response, whole: bool) -> Iterator[bytes]:
    """Chunks of a reply; ``whole`` if it starts at the file's first byte."""
    try:
        while chunk := response.read(_CHUNK):
            if whole and chunk.lstrip().startswith(b'<'):
                raise Refused(_PAGE)
            whole = False
            yield chunk
    except (OSError, HTTPException) as error:
        raise Broken(f'breaks off: {error}') from error


def _stored(url: str) -> Iterator[bytes]:
    """Chunks of a file in a storage backend of mmengine."""
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
    except Exception as error:  # any error of the backend's library
        raise Refused(f"can't be read: {type(error).__name__}: {error}") from error


def _store(
    chunks: Iterator[bytes], part: Path, start: int, note: dict, report: Callable
) -> None:
    """Append to the part, or start it again if ``start`` is 0."""
    first = next(chunks, b'')  # may fail: before the part is truncated
    with open(part, 'ab' if start else 'wb') as file:
        if not start:  # the part is empty, so the note can't be wrong
            note_of(part).write_text(json.dumps(note))
        for chunk in chain([first], chunks):
            file.write(chunk)
            report(file.tell(), note.get('size'))


def _mark(response) -> str | None:
    """A value that changes with the file on the server."""
    tag = response.headers.get('ETag', 'W/')
    # weak tags may be equal for different bytes
    return response.headers.get('Last-Modified') if tag[:2] == 'W/' else tag


def size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def note_of(part: Path) -> Path:
    return part.with_name(part.name + '.json')


def drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)
