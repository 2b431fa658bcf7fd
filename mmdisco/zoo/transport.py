"""How the bytes of a file come, over http(s) or from a storage backend."""

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

_SILENCE = 30  # seconds after which a server that says nothing is given up
_CHUNK = 1 << 18  # bytes
_PAGE = 'answers with a web page, no file: download it by hand'


class Refused(Exception):
    """This mirror won't do, however often it is asked."""


class Broken(Refused):
    """This mirror may do better next time."""


def receive(url: str, part: Path, sure: bool, tell: Callable) -> bool:
    """Ask for what the part lacks; gives whether all of it came just now.

    A part is taken up only if it will show should the halves not belong
    together: by the server, which compares the file's mark (If-Range), or,
    across mirrors, whose marks differ, by the sha256 in the end (sure). Equal
    sizes prove nothing: two trainings of a network have them.
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
        start, total = 0, response.length  # None if it does not say
        if response.status != 200:
            sent = re.fullmatch(
                r'bytes (\d+)-\d+/(\d+|\*)', response.headers.get('Content-Range', '')
            )
            start = int(sent[1]) if sent else None
            total = int(sent[2]) if sent and sent[2] != '*' else size
            # Not all servers with ranges know If-Range.
            if (
                start != have
                or size not in (None, total)
                or (mark and _mark(response) not in (None, mark))
            ):
                drop(part)
                raise Broken('gives another file than the one begun')
        note = dict(url=url, mark=_mark(response), size=total)
        _store(_body(response, start == 0), part, start, note, tell)
    if total is not None and size_of(part) != total:
        raise Broken(f'breaks off at {size_of(part)} of {total} bytes')
    return start == 0


def copy(url: str, part: Path, sure: bool, tell: Callable) -> bool:
    """As receive, by mmengine's storage backends, which know no ranges."""
    _store(_stored(url), part, 0, {}, tell)
    return True


def _ask(url: str, headers: dict[str, str]):
    """Send a request, say why it failed."""
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
    """What a server sends; whole if it begins with the file's first byte."""
    try:
        while chunk := response.read(_CHUNK):
            if whole and chunk.lstrip().startswith(b'<'):
                raise Refused(_PAGE)
            whole = False
            yield chunk
    except (OSError, HTTPException) as error:
        raise Broken(f'breaks off: {error}') from error


def _stored(url: str) -> Iterator[bytes]:
    """What a storage backend of mmengine has under this address."""
    parsed = urlsplit(url)
    # mmengine's local backend wants a plain path
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
    except Exception as error:  # whatever the backend's library raises
        raise Refused(f"can't be read: {type(error).__name__}: {error}") from error


def _store(
    chunks: Iterator[bytes], part: Path, start: int, note: dict, tell: Callable
) -> None:
    """Append to the part, or begin it anew if start is 0."""
    first = next(chunks, b'')  # before anything is lost: this may fail
    with open(part, 'ab' if start else 'wb') as file:
        if not start:  # the part is empty now: it can't get a wrong note
            note_of(part).write_text(json.dumps(note))
        for chunk in chain([first], chunks):
            file.write(chunk)
            tell(file.tell(), note.get('size'))


def _mark(response) -> str | None:
    """What changes whenever the file on the server does."""
    tag = response.headers.get('ETag', 'W/')
    # weak ones stay the same for files that are not the same bytes
    return response.headers.get('Last-Modified') if tag[:2] == 'W/' else tag


def size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def note_of(part: Path) -> Path:
    return part.with_name(part.name + '.json')


def drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)
