"""Labels of data sets and of batches, if they have any."""

import torch
from torch import Tensor
from torch.utils.data import Dataset


def innermost(dataset: Dataset) -> Dataset:
    """The data set in others that wrap it, as :class:`Bags` does."""
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return dataset


def labels_of(dataset: Dataset) -> Tensor | None:
    """Class indices of all images of a data set, [N], or None."""
    labels = getattr(dataset, 'labels', None)
    if labels is None and hasattr(dataset, 'get_gt_labels'):
        try:
            labels = dataset.get_gt_labels()
        except KeyError:  # of mmpretrain's, without labels
            return None
    return None if labels is None else torch.as_tensor(labels).long()


def labels_of_batch(batch: dict) -> Tensor | None:
    """Class indices in a batch, [N], or None.

    They are its ``label``, or ``gt_label`` of its ``data_samples``.
    """
    if batch.get('label') is not None:
        return torch.as_tensor(batch['label']).long()
    samples = batch.get('data_samples')
    if not samples or any('gt_label' not in s for s in samples):
        return None
    return torch.cat([s.gt_label for s in samples]).long()
