"""Which files are images: the same in folders, tars and LMDBs."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Sequence

from mmengine.logging import print_log
from PIL import features

# What people call images of formats that Pillow reads.
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
# Those for which Pillow must have been built, or needs a package.
NEEDED = {
    '.avif': 'Pillow 11.3 or later',
    '.heic': 'pillow-heif',
    '.heif': 'pillow-heif',
    '.hif': 'pillow-heif',
}
# Other pictures, which a user would miss.
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
# Folders that systems and programs make for themselves; besides, those whose
# names begin with a dot: .ipynb_checkpoints, .thumbnails, .Trash-1000.
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
    """Whether a file or folder is not one of the user's."""
    return name.startswith('.') or name in HIDDEN


def why_left_out(path: str, extensions: Collection[str] = EXTENSIONS) -> str | None:
    """Why a file is not taken.

    Args:
        path (str): Below the folder or in the archive, with '/'.
        extensions (Collection[str]): Of the files taken, in lower case.

    Returns:
        str, optional: In words; None of a file that is taken.
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
    """How many files were found, and what became of them.

    Attributes:
        taken (int): Images.
        left_out (Counter): The others, by reason: the sum of both is what was
            found.
        unread (List[str]): Paths of pictures of formats that can't be read.

    Args:
        extensions (Sequence[str]): Of the files taken.
    """

    def __init__(self, extensions: Sequence[str] = EXTENSIONS) -> None:
        self.extensions = frozenset(each.lower() for each in extensions)
        self.taken = 0
        self.left_out: Counter = Counter()
        self.unread: list[str] = []

    @property
    def found(self) -> int:
        """All files."""
        return self.taken + self.left_out.total()

    def takes(self, path: str) -> bool:
        """Count a file; whether it is taken."""
        reason = why_left_out(path, self.extensions)
        if reason is None:
            self.taken += 1
            return True
        self.left_out[reason] += 1
        if reason not in (HIDING, NOT_IMAGES):
            self.unread.append(path)
        return False

    def drop(self, count: int, reason: str) -> None:
        """Leave out files that were counted as taken."""
        self.taken -= count
        self.left_out[reason] += count

    def reasons(self) -> str:
        """Those left out, by reason, most of them first."""
        return ', '.join(
            f'{count} {reason}'
            for reason, count in self.left_out.most_common()
            if count
        )

    def log(self, where: str) -> None:
        """Say in one line what was found; a warning if pictures are missed.

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

    Links are followed, but each folder is read once, and none above. No file
    is asked for more than its name: a stat of each takes minutes on a network
    drive.

    Args:
        folder (str): The folder.
        extensions (Sequence[str]): Of the files taken, in any case.

    Returns:
        list[str]: Their paths below the folder, with '/', sorted.
        Tally: Of all files.
    """
    names: list[str] = []
    tally = Tally(extensions)
    seen: set[tuple[int, int]] = set()
    folders = ['']  # to be read; each ends with '/' but the first
    links: list[str] = []
    while folders or links:
        if folders:
            below = folders.pop()
        else:  # the place of a folder is its own, before that of a link
            links.sort(reverse=True)
            below = links.pop()
            if leads_up(folder, below):
                tally.left_out[LINKS] += 1
                continue
        path = os.path.join(folder, below)
        try:
            about = os.stat(path)
        except PermissionError:  # of the folder above
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
    """Names of the folders in a folder that may be classes, sorted.

    Hidden ones are not, nor are links to the folder itself or one above.
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
    """Whether a link below a folder is to that folder or one above."""
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
