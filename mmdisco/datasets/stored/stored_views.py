"""Views of a store, with the teacher's embeddings of them."""

from collections.abc import Sequence

import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from mmdisco.errors import InputError
from ..packed import describe
from .images import name_and_size
from .replay import ViewReplay, view_seed
from .store import Store


@TRANSFORMS.register_module()
class StoredViews(BaseTransform):
    """Replay some stored views of an image and read the teacher's embeddings.

    It takes the place of a whole pipeline. Which of the K stored views are drawn is
    random, without repetition if there are enough: from torch's generator, like any
    augmentation, so that each epoch has other views and other pairs.

    **Required keys:** img_path. **Result:** ``inputs``, a list of views, uint8
    [3, H, W]; and ``data_samples``, the teacher's embeddings of those that are
    stored, fp32 [V, D], for :class:`StoredTeacher`.

    Args:
        store (str): Folder of the store.
        root (str): Folder of the images, as in their paths.
        kinds (Sequence[int]): Kind of each view; -1, -2, … for those of ``live``.
        live (Sequence[Sequence[dict]]): Transforms of kinds of views that the
            teacher does not embed. Defaults to ().
        num_views (int, optional): Use the first of the stored views alone. Defaults
            to None, all.

    Raises:
        InputError: If the store can't be opened. When called, if an image is not in
            it, or is not as it was.
    """

    def __init__(
        self,
        store: str,
        root: str,
        kinds: Sequence[int],
        live: Sequence[Sequence[dict]] = (),
        num_views: int | None = None,
    ) -> None:
        self.store = Store(store)
        self.root = root
        self.kinds = list(kinds)
        pipelines = [kind['pipeline'] for kind in self.store.header['kinds']]
        self._replay = ViewReplay([*pipelines, *reversed(live)])
        self._seed = self.store.header['seed']
        self.num_views = self.store.num_views if num_views is None else num_views
        if not 0 < self.num_views <= self.store.num_views:
            raise InputError(
                f"num_views is {num_views}, the store '{store}' has "
                f'{self.store.num_views}: leave it out'
            )

    def transform(self, results: dict) -> dict:
        """Draw the views of an image.

        Args:
            results (dict): With ``img_path``.

        Returns:
            dict: ``inputs`` and ``data_samples``.
        """
        path = results['img_path']
        name, size = name_and_size(path, self.root)
        row = int(self.store.rows_of([name])[0])
        if row < 0:
            raise InputError(
                f"{describe(path)} is not in the store '{self.store.folder}': add it "
                f'by {self.store.header["command"]}'
            )
        views = self._choose()
        wanted = [
            (kind, view_seed(self._seed, name, kind, view) if kind >= 0 else view)
            for kind, view in zip(self.kinds, views)
        ]
        inputs = self._replay.views(path, wanted)
        if size != self.store.sizes[row]:
            raise InputError(
                f'{describe(path)} has {size} bytes, {self.store.sizes[row]} when it '
                'was stored: restore it, or store the images again'
            )
        embeds = torch.stack(
            [
                torch.from_numpy(self.store.embeds(row, kind, [view])[0])
                for kind, view in zip(self.kinds, views)
                if kind >= 0
            ]
        )  # [V, D]
        if not embeds.isfinite().all():
            raise InputError(
                f'{describe(path)} could not be read when the store '
                f"'{self.store.folder}' was written: remove the image, or store again"
            )
        return dict(inputs=inputs, data_samples=embeds)

    def _choose(self) -> list[int]:
        """Number of each stored view, and a random seed for each other one."""
        num = self.num_views
        orders = {
            kind: torch.randperm(num).tolist()
            for kind in dict.fromkeys(self.kinds)
            if kind >= 0
        }
        seen = dict.fromkeys(self.kinds, 0)
        views = []
        for kind in self.kinds:
            if kind < 0:
                views.append(int(torch.randint(2**62, ())))
            else:
                views.append(orders[kind][seen[kind] % num])
                seen[kind] += 1
        return views
