import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterable, List, Optional, Sequence, Set

from PIL import Image
from rich.console import Console
from rich.progress import track

from mmdisco.launch import available_cores


def with_bar(items: Sequence, told: str) -> Iterable:
    """The items; on a terminal a bar tells how many have been taken."""
    err = Console(stderr=True)
    return track(items, told, console=err, transient=True,
                 disable=not err.is_terminal)


def names_in(folder: Path) -> Optional[Set[str]]:
    """Names of the files in a folder, None if there is no such folder.

    One call for all of them: to ask for each takes minutes on a network
    drive.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return None


def broken_images(paths: Iterable[Path]) -> List[str]:
    """A line for each image whose header can't be read."""
    with ThreadPoolExecutor(2 * available_cores()) as pool:
        return [line for line in pool.map(_fault, paths) if line]


def _fault(path: Path) -> Optional[str]:
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError) as error:
        reason = ' '.join(str(error).replace(f"'{path}'", '').split())
        return f"'{path}' is no readable image: {reason}"
