from typing import Any

from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import Dataset

from mmdisco.errors import InputError
from mmdisco.utils import unwrapped
from .online import OnlineLoop, innermost, labels_of
from .splits import check_list, check_splits, copies


def check_labels(runner: Runner) -> None:
    """Compare the labels of a classifier's images with its classes.

    A label beyond them stops the training with an index error, or on a GPU
    with an assertion of the device; in the evaluation it always is a miss.
    And compare those of training and validation, as ``tools/eval`` does.

    Args:
        runner (Runner): Before its ``train``.

    Raises:
        InputError: If a label is beyond the head's classes, or a score by
            these images would mean nothing.
    """
    head = getattr(unwrapped(runner.model), 'head', None)
    classes = getattr(head, 'num_classes', None)
    if not classes:
        return
    found: list[tuple[Dataset, Tensor]] = []
    for split, loop in (('train', runner.train_loop), ('val', runner.val_loop)):
        if isinstance(loop, OnlineLoop):  # of samples, which have their own checks
            continue
        dataset: Any = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        labels = None if dataset is None else labels_of(innermost(dataset))
        if labels is not None and len(labels) and labels.dim() == 1:
            found.append((innermost(dataset), labels))
            check_list(found[-1][0], repeats=split == 'train')
        if labels is not None and len(labels) and int(labels.max()) >= classes:
            raise InputError(
                f'the images of {split}_dataloader are of '
                f'{int(labels.max()) + 1} classes, but the head knows '
                f'{classes}: set model.head.num_classes to '
                f'{int(labels.max()) + 1}'
            )
    if len(found) == 2:
        (train, train_labels), (val, val_labels) = found
        check_splits(train, train_labels, val, val_labels)
        # a smoke run has the same few images in both
        number = 0 if runner.cfg.get('smoke') else copies(train, val)
        if number:
            runner.logger.warning(
                f'{number} of the validation images (at most 64 were looked '
                'at) are training images, too: a score by them says little '
                'of other images'
            )
