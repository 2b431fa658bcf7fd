"""A teacher whose embeddings were stored before the training."""

from collections.abc import Sequence

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.datasets.stored import read_header
from mmdisco.errors import InputError
from .tap import Batch, ViewOutputs, Views


@MODELS.register_module()
class StoredTeacher(nn.Module):
    """Takes the place of :class:`FrozenTeacher`: embeddings come with the images.

    :class:`StoredViews` replays views of which a store holds the teacher's
    embeddings, and gives both. The network itself is not needed.

    Args:
        store (str): Folder of the store, written by ``mmdisco store``.
        views (Sequence[int]): Views whose embeddings come with a batch, in their
            order.

    Attributes:
        width (int): Width of the embeddings, D.
        checkpoint (str): Name of the teacher's file.
        sha256 (str): Its digest.

    Raises:
        MissingFileError: If there is no store.
        InputError: If the store is damaged. In training, if a loss needs a view
            that is not stored, or feature maps.
    """

    norm_mode = 'eval'

    def __init__(self, store: str, views: Sequence[int]) -> None:
        super().__init__()
        header = read_header(store)
        teacher, self._images = header['teacher'], header['images']
        self.store = store
        self.stored_views = list(views)
        self.width: int = teacher['width']
        self.checkpoint: str = teacher['file']
        self.sha256: str = teacher['sha256']
        self._own_normalisation: bool = teacher['own_normalisation']

    def forward(self, stored: object) -> list[Tensor]:
        """Embeddings of each stored view, [N, D] each.

        Args:
            stored (Tensor): Embeddings that came with a batch, [N, V, D].
        """
        if not (
            isinstance(stored, Tensor)
            and stored.dim() == 3
            and stored.shape[1:] == (len(self.stored_views), self.width)
        ):
            got = list(stored.shape) if isinstance(stored, Tensor) else type(stored)
            raise InputError(
                f'StoredTeacher needs embeddings [N, {len(self.stored_views)}, '
                f'{self.width}] with the images, got {got}: load them by StoredViews '
                '(--teacher-store)'
            )
        return list(stored.unbind(1))

    @torch.no_grad()
    def views(
        self,
        batches: Sequence[Batch],
        maps: bool = False,
        stored: object = None,
    ) -> Views:
        """Look up the embeddings of views.

        Args:
            batches (Sequence[Batch]): As in :meth:`FrozenTeacher.views`; only their
                views matter.
            maps (bool): Must be False.
            stored (Tensor): Embeddings that came with the images,
                [N, V, D].

        Returns:
            dict[int, ViewOutputs]: Outputs by index of the view.
        """
        self.check(maps)
        embeds = dict(zip(self.stored_views, self(stored)))  # [N, D] each
        views = [view for batch in batches for view in batch.rows]
        for view in views:
            if view not in embeds:
                raise InputError(
                    f'the teacher needs view {view}, the store has the views '
                    f'{self.stored_views}: set views of the loss, or store this kind '
                    'of view, too'
                )
        return {view: ViewOutputs(embeds[view], ()) for view in views}

    def check(self, maps: bool = False, mixup: float = 0.0) -> None:
        """Check that a training needs embeddings of the stored views alone.

        Args:
            maps (bool): Whether it needs feature maps. Defaults to False.
            mixup (float): Its ``mixup``. Defaults to 0.

        Raises:
            InputError: If it needs anything else.
        """
        if maps:
            raise InputError(
                'a loss compares feature maps, a teacher store has embeddings: train '
                'with the teacher itself'
            )
        if mixup:
            raise InputError(
                f'model.mixup={mixup} mixes images that the teacher has not embedded: '
                'set it to 0, or train with the teacher itself'
            )

    def match_normalisation(self, preprocessor: nn.Module | None) -> None:
        """Check that the teacher saw the same images.

        Args:
            preprocessor (nn.Module, optional): The student's data preprocessor.

        Raises:
            InputError: If the teacher, which has no normalisation of its own, saw
                images normalised otherwise.
        """
        if self._own_normalisation:
            return
        for name in ('mean', 'std'):
            value = getattr(preprocessor, name, None)
            given = None if value is None else value.flatten().cpu()
            stored = self._images[name]
            if (given is None) != (stored is None) or (
                given is not None and not torch.allclose(given, torch.tensor(stored))
            ):
                raise InputError(
                    f'the teacher of the store saw images of {name} {stored}, the '
                    f'data preprocessor has {given}: set data_preprocessor.{name}'
                )

    def extra_repr(self) -> str:
        """Folder and width."""
        return f"store='{self.store}', views={self.stored_views}, width={self.width}"
