import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track


def with_bar(items: Sequence, told: str) -> Iterable:
    """The items; on a terminal a bar tells how many have been taken."""
    err = Console(stderr=True)
    return track(items, told, console=err, transient=True, disable=not err.is_terminal)


def names_in(folder: Path) -> set[str] | None:
    """Names of the files in a folder, None if there is no such folder.

    One call for all of them: to ask for each takes minutes on a network
    drive.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return None
