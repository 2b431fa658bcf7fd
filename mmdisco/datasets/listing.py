"""Selection of image files, the same in folders, tars and LMDBs."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Sequence

from mmengine.logging import print_log
from PIL import features

# Common extensions of the formats that Pillow reads.
EXTENSIONS: tuple[str, ...] = (
    '.jpg',
    '.jpeg',
    '.jpe',
    '.jfif',
    '.mpo',
    '.png',
    '.apng',
    '.webp',
    '.bmp',
    '.dib',
    '.gif',
    '.tif',
    '.tiff',
    '.jp2',
    '.j2k',
    '.jpx',
    '.ppm',
    '.pgm',
    '.pbm',
    '.pnm',
    '.pfm',
    '.tga',
)
# Extensions that need a newer Pillow or a package.
NEEDED = {
    '.avif': 'Pillow 11.3 or later',
    '.heic': 'pillow-heif',
    '.heif': 'pillow-heif',
    '.hif': 'pillow-heif',
}
# Other image formats: left out with a warning.
UNREAD = (
    '.jxl',
    '.svg',
    '.psd',
    '.dng',
    '.raw',
    '.cr2',
    '.cr3',
    '.nef',
    '.arw',
    '.orf',
    '.raf',
    '.rw2',
    '.pef',
    '.srw',
)
# Folders created by systems and programs, besides those starting with a dot:
# .ipynb_checkpoints, .thumbnails, .Trash-1000.
HIDDEN = {
    '__MACOSX',
    '@eaDir',
    '#recycle',
    '$RECYCLE.BIN',
    'System Volume Information',
    'lost+found',
}
HIDING = 'hidden'
LINKS = 'linked twice or in a loop'
BROKEN = 'linked to nothing'
FORBIDDEN = 'without permission'
NOT_IMAGES = 'with another ending'

if 'avif' in features.modules and features.check('avif'):
    EXTENSIONS += ('.avif',)
    del NEEDED['.avif']
try:
    import pillow_heif
except ImportError:
    pass
else:
    pillow_heif.register_heif_opener()
    EXTENSIONS += ('.heic', '.heif', '.hif')
    for _name in EXTENSIONS[-3:]:
        del NEEDED[_name]


def is_hidden(name: str) -> bool:
    """Whether a file or folder belongs to a system or program."""
    return name.startswith('.') or name in HIDDEN


def why_left_out(path: str, extensions: Collection[str] = EXTENSIONS) -> str | None:
    """Reason for leaving out a file.

    Args:
        path (str): Path below the folder or in the archive, with '/'.
        extensions (Collection[str]): Extensions of images, lower case.

    Returns:
        str, optional: The reason; None if the file is used.
    """
    if any(map(is_hidden, path.split('/'))):
        return HIDING
    ending = os.path.splitext(path)[1].lower()
    if ending in extensions:
        return None
    if ending in NEEDED:
        return f'{ending[1:].upper()} (needs {NEEDED[ending]})'
    return f'{ending[1:].upper()} (not read)' if ending in UNREAD else (NOT_IMAGES)


class Tally:
    """Counts of files: used, and left out by reason.

    Args:
        extensions (Sequence[str]): Extensions of images.

    Attributes:
        taken (int): Number of images.
        left_out (Counter): Number of other files, by reason.
        unread (list[str]): Paths of images in unsupported formats.
    """

    def __init__(self, extensions: Sequence[str] = EXTENSIONS) -> None:
        self.extensions = frozenset(each.lower() for each in extensions)
        self.taken = 0
        self.left_out: Counter = Counter()
        self.unread: list[str] = []

    @property
    def found(self) -> int:
        """Number of all files."""
        return self.taken + self.left_out.total()

    def takes(self, path: str) -> bool:
        """Count a file; returns whether it is used."""
        reason = why_left_out(path, self.extensions)
        if reason is None:
            self.taken += 1
            return True
        self.left_out[reason] += 1
        if reason not in (HIDING, NOT_IMAGES):
            self.unread.append(path)
        return False

    def drop(self, count: int, reason: str) -> None:
        """Move files from used to left out."""
        self.taken -= count
        self.left_out[reason] += count

    def reasons(self) -> str:
        """Format the counts of files left out, largest first."""
        return ', '.join(
            f'{count} {reason}'
            for reason, count in self.left_out.most_common()
            if count
        )

    def log(self, where: str) -> None:
        """Log all counts in one line; a warning if images were left out.

        Args:
            where (str): Path of the folder or archive.
        """
        missed = {*+self.left_out} - {HIDING, NOT_IMAGES}
        reasons = self.reasons()
        print_log(
            f"images in '{where}': {self.found} files found, {self.taken} "
            f'taken{"; left out: " + reasons if reasons else ""}',
            logger='current',
            level=logging.WARNING if missed else logging.INFO,
        )


def list_images(
    folder: str, extensions: Sequence[str] = EXTENSIONS
) -> tuple[list[str], Tally]:
    """Find the images below a folder, at any depth.

    Links are followed, but each folder is read only once, and never one above
    ``folder``. Files are selected by name, without a stat: on a network drive
    that would take minutes.

    Args:
        folder (str): The folder.
        extensions (Sequence[str]): Extensions of images, in any case.

    Returns:
        tuple[list[str], Tally]: Paths below the folder, with '/', sorted, and
        the counts of all files.
    """
    names: list[str] = []
    tally = Tally(extensions)
    seen: set[tuple[int, int]] = set()
    # to be read; all but the first end with '/'
    folders: list[str] = ['']
    links: list[str] = []
    while folders or links:
        if folders:
            below = folders.pop()
        else:  # links last: a folder is read at its own path, not at a link's
            links.sort(reverse=True)
            below = links.pop()
            if leads_up(folder, below):
                tally.left_out[LINKS] += 1
                continue
        path = os.path.join(folder, below)
        try:
            about = os.stat(path)
        except PermissionError:  # for the parent folder
            tally.left_out[FORBIDDEN] += 1
            continue
        if (about.st_dev, about.st_ino) in seen:
            tally.left_out[LINKS] += 1
            continue
        seen.add((about.st_dev, about.st_ino))
        hidden = any(map(is_hidden, below.split('/')))
        for entry in _entries(path, tally):
            name = f'{below}{entry.name}'
            if entry.is_symlink():
                is_folder = os.path.isdir(entry.path)
                is_file = os.path.isfile(entry.path)
            else:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            if is_folder and not entry.is_symlink():
                folders.append(f'{name}/')
            elif hidden or is_hidden(entry.name):
                tally.left_out[HIDING] += 1
            elif is_folder:
                links.append(f'{name}/')
            elif not is_file:  # a pipe, for example
                tally.left_out[BROKEN if entry.is_symlink() else NOT_IMAGES] += 1
            elif tally.takes(name):
                names.append(name)
    return sorted(names), tally


def class_folders(folder: str) -> list[str]:
    """Names of the class folders in a folder, sorted.

    Hidden folders are left out, and links to the folder itself or one above.
    """
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not is_hidden(entry.name)
            and os.path.isdir(entry.path)
            and not (entry.is_symlink() and leads_up(folder, entry.name))
        )


def leads_up(folder: str, link: str) -> bool:
    """Whether a link below a folder points to that folder or one above."""
    target = os.path.realpath(os.path.join(folder, link))
    root = os.path.realpath(folder)
    return os.path.commonpath([root, target]) == target


def _entries(path: str, tally: Tally) -> list[os.DirEntry]:
    try:
        with os.scandir(path) as entries:
            return [*entries]
    except PermissionError:
        tally.left_out[FORBIDDEN] += 1
        return []
