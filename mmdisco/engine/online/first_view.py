import torch
from torch import Tensor, nn

from mmdisco.utils import pooled


class FirstView:
    """Catches the student's features of the first view, in each step.

    No pass is added: a forward hook on the backbone sees the algorithm's own.
    What it keeps is detached. Some algorithms send several views as one
    batch, one after the other (SwAV) or interleaved (SimCLR); how they do is
    found out in the first step.

    Args:
        model (nn.Module): With ``backbone``; gets the views as ``inputs``.
    """

    def __init__(self, model: nn.Module) -> None:
        self._view: Tensor | None = None
        self._features: Tensor | None = None
        self._rows: slice | None = None
        self._handles = [
            model.register_forward_pre_hook(self._step, with_kwargs=True),
            model.backbone.register_forward_hook(self._pass),
        ]

    def take(self) -> Tensor | None:
        """Features since the last call, [N, D]; None if not seen."""
        features, self._features, self._view = self._features, None, None
        return features

    def remove(self) -> None:
        """Let go of the model."""
        for handle in self._handles:
            handle.remove()

    def _step(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        inputs = args[0] if args else kwargs['inputs']
        self._view = inputs if torch.is_tensor(inputs) else inputs[0]

    def _pass(self, _, args: tuple, output) -> None:
        view, images = self._view, args[0]
        if view is None or self._features is not None:
            return
        if images is view:
            self._features = pooled(output)  # [N, D]
            return
        if self._rows is None:  # each comparison waits for the device
            self._rows = rows_of(view, images)
        if self._rows is not None:
            self._features = pooled(output)[self._rows]


def rows_of(view: Tensor, images: Tensor) -> slice | None:
    """Rows of a batch that are a view, or None."""
    num = len(view)
    parts: list[slice] = [slice(0, num), slice(0, None, max(len(images) // num, 1))]
    for rows in parts:
        found = images[rows]
        if found.shape == view.shape and torch.equal(found, view):
            return rows
    return None
