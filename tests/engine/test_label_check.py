from types import SimpleNamespace

import pytest
from torch import nn

from mmdisco.engine import check_labels
from mmdisco.errors import InputError


def runner(classes, train, val=None, head=True):
    loops = [
        labels
        and SimpleNamespace(
            dataloader=SimpleNamespace(dataset=SimpleNamespace(labels=labels))
        )
        for labels in (train, val)
    ]
    model = nn.Module()
    if head:
        model.head = nn.Module()
        model.head.num_classes = classes
    return SimpleNamespace(model=model, train_loop=loops[0], val_loop=loops[1])


def test_labels_are_below_the_classes_of_the_head():
    check_labels(runner(3, [0, 2]))
    check_labels(runner(3, [9], head=False))  # a pre-training
    for split, labels in (('train', ([0, 3], [0])), ('val', ([0], [3]))):
        with pytest.raises(
            InputError,
            match=f'{split}_dataloader have 4 '
            'classes, but the head has 3: set '
            'model.head.num_classes to 4',
        ):
            check_labels(runner(3, *labels))
