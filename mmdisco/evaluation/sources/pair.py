from mmdisco.errors import InputError
from .source import Source


def check_pair(train: Source, test: Source) -> None:
    """Say in one line if scores of one split by the other make no sense.

    Args:
        train (Source): What is fitted or searched.
        test (Source): What is scored.

    Raises:
        InputError: If one has no labels, a class of ``train`` has no image, a
            label is outside the classes, or the classes differ. Where classes
            are mere numbers, ``test`` need not have all of them.
    """
    for source in (train, test):
        if source.labels is None:
            raise InputError(f"'{source.root}' has no labels: give images in "
                             'one folder for each class')
        label = [*source.labels.aminmax()]
        if label[0] < 0 or label[1] >= len(source.classes):
            outside = int(label[0] if label[0] < 0 else label[1])
            raise InputError(
                f"{_told(source)} have label {outside}, outside the classes: "
                f'there are {len(source.classes)}, labels begin with 0')
    filled = {*train.labels.unique().tolist()}
    empty = [name for i, name in enumerate(train.classes) if i not in filled]
    if empty:
        raise InputError(f'{_told(train)} have no image of {len(empty)} of '
                         f"{len(train.classes)} classes, e.g. '{empty[0]}': "
                         'labels begin with 0 and leave out none')
    only_test = sorted({*test.classes} - {*train.classes})
    only_train = sorted({*train.classes} - {*test.classes})
    numbers = [str(i) for i in range(len(train.classes))]
    if train.classes == numbers and not only_test:
        only_train = []
    if only_test or only_train:
        sides = [f"only in {split}: '{names[0]}'" +
                 (f' and {len(names) - 1} more' if len(names) > 1 else '')
                 for split, names in (('train', only_train),
                                      ('test', only_test)) if names]
        raise InputError(
            f'{_told(train)} have {len(train.classes)} classes, '
            f'{_told(test)} {len(test.classes)}: {", ".join(sides)}')
    for ours, theirs in zip(train.classes, test.classes):
        if ours != theirs:  # numbers as names of folders: '10' before '2'
            raise InputError(
                f"{_told(train)} have class '{ours}' where {_told(test)} have "
                f"'{theirs}': store both in the same way")


def _told(source: Source) -> str:
    return f"{source.split} images of '{source.root}'"
