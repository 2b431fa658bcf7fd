"""Samples of labelled images, and labels of data sets and batches."""

from collections.abc import Callable

import torch
from mmengine.dist import get_rank, get_world_size
from mmpretrain.registry import DATASETS
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from mmdisco.errors import InputError
from mmdisco.utils import gather_rows, worker_start_method
from ..splits import check_splits


def innermost(dataset: Dataset) -> Dataset:
    """The data set inside its wrappers, such as :class:`Bags`."""
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return dataset


def labels_of(dataset: Dataset) -> Tensor | None:
    """Class indices of all images of a data set, [N], or None."""
    labels = getattr(dataset, 'labels', None)
    if labels is None and hasattr(dataset, 'get_gt_labels'):
        try:
            labels = dataset.get_gt_labels()
        except KeyError:  # mmpretrain's data sets without labels
            return None
    return None if labels is None else torch.as_tensor(labels).long()


def labels_of_batch(batch: dict) -> Tensor | None:
    """Class indices in a batch, [N], or None.

    Read from its ``label``, or ``gt_label`` of its ``data_samples``.
    """
    if batch.get('label') is not None:
        return torch.as_tensor(batch['label']).long()
    samples = batch.get('data_samples')
    if not samples or any('gt_label' not in s for s in samples):
        return None
    return torch.cat([s.gt_label for s in samples]).long()


def balanced_indices(labels: Tensor, num: int, seed: int) -> Tensor:
    """Draw images of all classes in turn, until enough or none are left.

    Args:
        labels (Tensor): Class indices, [N].
        num (int): Maximum number of images.
        seed (int): Seed of the draw; no other random state is read or changed.

    Returns:
        Tensor: Indices, [min(num, N)]; any first part is also balanced.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    drawn = labels[order]
    by_class = drawn.argsort(stable=True)
    counts = drawn.bincount()
    starts = counts.cumsum(0) - counts  # [C]
    turn = torch.empty_like(order)  # of an image in its class
    turn[by_class] = torch.arange(len(order)) - starts[drawn[by_class]]
    return order[turn.argsort(stable=True)[:num]]


def _collate(items: list[dict]) -> dict:
    inputs = default_collate([item['inputs'] for item in items])
    return dict(inputs=inputs, data_samples=None)


class Sample:
    """A fixed sample of labelled images; each rank reads its part.

    Args:
        dataset (Dataset): Data set with one image per item, not its views.
        labels (Tensor): Class indices of the whole data set, [N].
        indices (Tensor): Images of the sample, [M].
        batch_size (int): Images per batch.
        num_workers (int): Processes that load them.

    Raises:
        InputError: If there are fewer images than ranks, or items are views.
    """

    def __init__(
        self,
        dataset: Dataset,
        labels: Tensor,
        indices: Tensor,
        batch_size: int,
        num_workers: int,
    ) -> None:
        if len(indices) < get_world_size():
            raise InputError(
                f'online scores: a sample of {len(indices)} images is too small '
                f'for {get_world_size()} ranks'
            )
        self.labels = labels[indices]  # [M]
        part = indices[get_rank() :: get_world_size()]
        if not torch.is_tensor(dataset[int(part[0])]['inputs']):
            raise InputError(
                f'online scores need single images, {type(dataset).__name__} gives '
                'lists of views: set val_cfg.train and val_cfg.test (or train and '
                'test of OnlineKNNHook) to data sets with one image per item'
            )
        self.loader = DataLoader(
            Subset(dataset, part.tolist()),
            batch_size,
            num_workers=num_workers,
            multiprocessing_context=worker_start_method(num_workers),
            collate_fn=_collate,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )  # else it draws a seed from torch's

    def __len__(self) -> int:
        return len(self.labels)

    def features(self, encode: Callable[[dict], Tensor]) -> Tensor:
        """Features of all images, the same on each rank, [M, D].

        Args:
            encode (Callable): From a batch to its features, [n, D].
        """
        part = torch.cat([encode(batch) for batch in self.loader])
        return gather_rows(part, len(self))


def check_draw(
    train: dict | None,
    test: dict | None,
    num_train: int,
    num_test: int,
    batch_size: int,
) -> None:
    """Check the settings of :func:`draw_samples`.

    Raises:
        InputError: If only one data set is given, or a number is below 1.
    """
    if (train is None) != (test is None):
        raise InputError(
            'online scores have only one of train and test: set both or neither'
        )
    if min(num_train, num_test, batch_size) < 1:
        raise InputError(
            f'online scores with num_train={num_train}, num_test={num_test}, '
            f'batch_size={batch_size}: must all be at least 1'
        )


def draw_samples(
    training: Dataset,
    train: dict | None,
    test: dict | None,
    sizes: tuple[int, int],
    seed: int,
    batch_size: int,
    num_workers: int,
) -> tuple[Sample, Sample] | None:
    """Draw two samples without a common image.

    Args:
        training (Dataset): Training images.
        train (dict, optional): Config of the data set of the first sample.
        test (dict, optional): Config of the data set of the second. With
            neither, both samples are training images; if these are too few,
            they are divided in proportion to ``sizes``.
        sizes (tuple[int, int]): Maximum number of images of each.
        seed (int): Seed of the draw.
        batch_size (int): Images per batch.
        num_workers (int): Processes that load them.

    Returns:
        tuple[Sample, Sample] or None: None if the training images would be
        used but have no labels.

    Raises:
        InputError: If a given data set has no labels, too few images, or
            other classes than the other.
    """
    if train is None:
        dataset = innermost(training)
        labels = labels_of(dataset)
        if labels is None:
            return None
        indices = balanced_indices(labels, sum(sizes), seed)
        num_test = max(len(indices) * sizes[1] // sum(sizes), 1)
        parts = [
            (dataset, labels, indices[num_test:]),
            (dataset, labels, indices[:num_test]),
        ]
    else:
        parts, labelled = [], []
        for name, config, size in zip(('train', 'test'), (train, test), sizes):
            dataset = DATASETS.build(config)
            labels = labels_of(dataset)
            if labels is None:
                raise InputError(
                    f'online scores: the data set {name}, '
                    f'{type(dataset).__name__}, has no labels: use '
                    'LabelledPhotos, or set val_cfg=None'
                )
            labelled += [dataset, labels]
            parts.append((dataset, labels, balanced_indices(labels, size, seed)))
        check_splits(*labelled)
    first, second = (Sample(*part, batch_size, num_workers) for part in parts)
    return first, second
