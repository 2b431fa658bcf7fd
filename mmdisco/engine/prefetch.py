"""Copies of batches to the GPU that overlap with the model."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader


class CudaPrefetcher:
    """Copy the next batch to the device while the model processes this one.

    The copies run on a separate CUDA stream, and overlap with the model if the
    loader pins its memory. All other attributes are those of the loader.

    Args:
        loader (DataLoader): The loader, with ``pin_memory``.
        device (torch.device): A CUDA device.
    """

    def __init__(self, loader: DataLoader, device: torch.device) -> None:
        self.loader = loader
        self.device = device

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the loader."""
        if name == 'loader':  # not set yet while unpickling
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        """Yield the loader's batches on the device."""
        return self.over(iter(self.loader))

    def over(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield batches on the device.

        Args:
            batches (Iterator): Batches in pinned memory.
        """
        stream = torch.cuda.Stream(self.device)

        def copy_next() -> Any:
            with torch.cuda.stream(stream):
                return _map(
                    lambda x: x.to(self.device, non_blocking=True), next(batches, None)
                )

        ready = copy_next()
        while ready is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(stream)
            # otherwise its memory is reused for a later batch while in use here
            batch = _map(lambda x, s=current: x.record_stream(s) or x, ready)
            ready = copy_next()
            yield batch


def _map(function: Callable, batch: Any) -> Any:
    """Apply a function to every tensor of nested lists and dicts."""
    if torch.is_tensor(batch):
        return function(batch)
    if isinstance(batch, dict):
        return {key: _map(function, value) for key, value in batch.items()}
    if type(batch) in (list, tuple):
        return type(batch)(_map(function, value) for value in batch)
    return batch  # e.g. data samples, which the data preprocessor moves


@HOOKS.register_module()
class PrefetchHook(Hook):
    """Train with a :class:`CudaPrefetcher`; does nothing without CUDA."""

    def before_train(self, runner) -> None:
        """Wrap the training loader."""
        device = next(runner.model.parameters()).device
        loop = runner.train_loop
        if device.type != 'cuda':
            return
        loop.dataloader = CudaPrefetcher(loop.dataloader, device)
        if isinstance(loop, IterBasedTrainLoop):
            batches = loop.dataloader_iterator
            batches._dataloader = loop.dataloader
            if batches._iterator is not None:  # mmengine starts it now or later
                batches._iterator = loop.dataloader.over(batches._iterator)
