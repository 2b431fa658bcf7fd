"""Check a classifier's labels before training."""

from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import Dataset

from mmdisco.errors import InputError
from mmdisco.utils import unwrapped
from .online import OnlineLoop, innermost, labels_of
from .splits import check_list, check_splits, copies


def check_labels(runner: Runner) -> None:
    """Compare the labels of a data set with the classes of the head.

    A label out of range would stop training with an index error, or with a
    device-side assertion on a GPU; in an evaluation it would always be a miss.
    Labels of training and validation are compared, too, as in ``tools/eval``.

    Args:
        runner (Runner): A runner before its ``train``.

    Raises:
        InputError: If a label is out of range, or scores on these images would
            be meaningless.
    """
    head = getattr(unwrapped(runner.model), 'head', None)
    classes = getattr(head, 'num_classes', None)
    if not classes:
        return
    labelled: list[tuple[Dataset, Tensor]] = []
    for split, loop in (('train', runner.train_loop), ('val', runner.val_loop)):
        if isinstance(loop, OnlineLoop):  # its samples have their own checks
            continue
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        if dataset is None:
            continue
        dataset = innermost(dataset)
        labels = labels_of(dataset)
        if labels is None or not len(labels):
            continue
        if labels.dim() == 1:
            labelled.append((dataset, labels))
            check_list(dataset, repeats=split == 'train')
        if int(labels.max()) >= classes:
            raise InputError(
                f'the images of {split}_dataloader have '
                f'{int(labels.max()) + 1} classes, but the head has '
                f'{classes}: set model.head.num_classes to '
                f'{int(labels.max()) + 1}'
            )
    if len(labelled) == 2:
        (train, train_labels), (val, val_labels) = labelled
        check_splits(train, train_labels, val, val_labels)
        # a smoke run uses the same few images for both
        number = 0 if runner.cfg.get('smoke') else copies(train, val)
        if number:
            runner.logger.warning(
                f'{number} of the validation images (at most 64 were '
                'compared) are training images, too: scores on them say little '
                'about other images'
            )
