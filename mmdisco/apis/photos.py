import logging
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from PIL import Image

from mmdisco.datasets.decode import WHITE
from mmdisco.errors import InputError
from mmdisco.evaluation.sources import Source, open_photos

TOLD = 10  # names in a warning


class Extracted(NamedTuple):
    """Features of the photos of a folder."""

    names: list[str]  # paths below the folder, sorted
    features: np.ndarray  # [N, D], in that order
    skipped: list[str]  # names of those that can't be read, sorted


class SkippingPhotos(Source):
    """A folder of photos, some of which can't be read.

    In place of such a one there is a black image, so that batches do not
    depend on it; :meth:`extracted` leaves out its features.

    Args:
        root (str): The folder; photos at any depth.
        background (tuple[int, int, int]): Colour below what is transparent,
            in RGB. Defaults to white.

    Raises:
        MissingFileError: If there is no such folder.
        InputError: If it holds no image, or one whose name can't be written.
    """

    kind = 'photos'

    def __init__(self, root: str, background: tuple[int, int, int] = WHITE) -> None:
        self.photos = open_photos(root)
        self.photos.background = self.background = tuple(background)
        self.tally = self.photos.tally
        super().__init__(root, '', self.photos.names, None)
        self.sizes = self.photos.sizes
        for name in self.names:
            if len(name.splitlines()) > 1 or _no_utf8(name):
                raise InputError(
                    f'image {name!r} in {self.root!r} has a name '
                    'with a line break or of no UTF-8: rename it'
                )
        # shared with the workers of a loader
        self.unreadable = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def __getitem__(self, index: int) -> Image.Image:
        """One image in RGB, upright; black if it can't be read."""
        try:
            return self.photos[index]
        except InputError:
            self.unreadable[index] = 1
            return Image.new('RGB', (1, 1))

    def extracted(self, features: np.ndarray) -> Extracted:
        """Leave out those that could not be read, with one warning.

        Args:
            features (np.ndarray): Of all images, [N, D].

        Raises:
            InputError: If no image is left.
        """
        readable = self.unreadable.numpy() == 0
        others = self.tally.unread  # formats that can't be read
        if readable.all():
            return Extracted([*self.names], features, sorted(others))
        if not readable.any():
            raise InputError(
                f"none of the {len(self)} images in '{self.root}' can be read"
            )
        skipped = [self.names[i] for i in np.flatnonzero(~readable)]
        told = ', '.join(f"'{name}'" for name in skipped[:TOLD])
        more = len(skipped) - TOLD
        print_log(
            f"Skip {len(skipped)} of {len(self)} images in '{self.root}' that "
            f"can't be read: {told}{f' and {more} more' if more > 0 else ''}",
            logger='current',
            level=logging.WARNING,
        )
        names = [self.names[i] for i in np.flatnonzero(readable)]
        return Extracted(names, features[readable], sorted(skipped + others))

    def counts(self) -> str:
        """All files, of which so many are skipped, by reason, in words."""
        unreadable = int(self.unreadable.sum())
        reasons = [f"{unreadable} can't be read"] if unreadable else []
        reasons += filter(None, [self.tally.reasons()])
        skipped = unreadable + self.tally.left_out.total()
        return f'{self.tally.found} files, {skipped} skipped' + (
            f' ({", ".join(reasons)})' if reasons else ''
        )

    def share(self) -> None:
        """Tell all processes of a group what each could not read."""
        all_reduce(self.unreadable, 'max')


def _no_utf8(name: str) -> bool:
    """Whether the system's bytes of a name are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False
