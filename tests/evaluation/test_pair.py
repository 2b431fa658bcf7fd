"""Training and test splits that do not fit each other."""

import shutil
import unicodedata

import pytest
import torch

from mmdisco.evaluation.sources import (
    Split,
    check_classes,
    check_pair,
    copies,
    open_source,
)
from tests.evaluation.test_sources import WRITERS, put_tar
from tests.evaluation.test_sources_errors import files, said
from tests.evaluation.tiny import idx_folder


def pair(root):
    return [open_source(str(root), split) for split in ('train', 'test')]


def named(classes, labels=None, name='train'):
    if labels is None:
        labels = range(len(classes))
    return Split(f'{name} images', classes, torch.tensor([*labels]))


@pytest.mark.parametrize(
    'train, test, reason',
    [
        ('Dog', 'dog', 'upper and lower case'),
        ('dog', 'dog ', 'spaces'),
        (
            '\u00e9t\u00e9',
            unicodedata.normalize('NFD', '\u00e9t\u00e9'),
            'Unicode normalisation (NFD on a Mac)',
        ),
    ],
)
@pytest.mark.parametrize('how', ['folder', 'tar'])
def test_names_that_look_the_same(tmp_path, train, test, reason, how):
    for split, name in (('train', train), ('val', test)):
        files(tmp_path, split, ['cat', name])
        if how == 'tar':
            put_tar(
                tmp_path / f'{split}.tar',
                [
                    (str(p.relative_to(tmp_path / split)), p.read_bytes())
                    for p in (tmp_path / split).rglob('*.png')
                ],
            )
            shutil.rmtree(tmp_path / split)
    line = said(check_pair, *pair(tmp_path))
    assert line.endswith(
        f'; {ascii(train)} and {ascii(test)} differ by {reason}: rename one of them'
    )


def test_other_names_are_not_said_to_look_the_same(tmp_path):
    files(tmp_path, 'train', ['cat', 'dog'])
    files(tmp_path, 'val', ['cat', 'cow'])
    assert 'differ by' not in said(check_pair, *pair(tmp_path))


def test_one_class_alone_and_a_folder_too_many(tmp_path):
    files(tmp_path, 'train', ['a', 'b'], 'train/train')
    files(tmp_path, 'val', ['a', 'b'], 'val/val')
    line = said(check_pair, *pair(tmp_path))
    assert "have a single class, 'train'" in line
    assert 'without a folder around them (train/train/CLASS)' in line
    shutil.move(tmp_path / 'train/train', tmp_path / 'other')
    shutil.rmtree(tmp_path / 'train')
    shutil.move(tmp_path / 'other', tmp_path / 'train')
    line = said(check_pair, *pair(tmp_path))
    assert "only in train: 'a' and 1 more, only in test: 'val'" in line


@pytest.mark.parametrize(
    'train, test, expected',
    [
        # labels of lists
        (
            named((), [1, 2, 3]),
            named((), [1], 'val'),
            "train images have no image of 1 of 4 classes, e.g. '0': labels start",
        ),
        (
            named((), [0, 1]),
            named((), [0, 2], 'val'),
            'val images have label 2, outside the classes: there are 2',
        ),
        (named((), [0, 0]), named((), [0], 'val'), "a single class, '0'"),
        (
            named([*'ab'], [1, 2]),
            named([*'ab'], name='val'),
            'train images have label 2, outside',
        ),
        (named([*'ab'], [0, -1]), named([*'ab'], name='val'), 'have label -1'),
        (
            named([*'abc'], [0, 0, 2]),
            named([*'abc'], name='val'),
            "have no image of 1 of 3 classes, e.g. 'b'",
        ),
        (
            named([*'abc']),
            named([*'bca'], name='val'),
            "have class 'a' where val images have 'b'",
        ),
    ],
)
def test_labels_that_do_not_fit(train, test, expected):
    assert expected in said(check_classes, train, test)


@pytest.mark.parametrize(
    'train, test',
    [
        (named([*'ab']), named([*'ab'], [1, 1])),
        (named(['A', 'a', '10', '2']), named(['A', 'a', '10', '2'])),
        (named((), [0, 1, 2]), named((), [1])),
        (named([*'012']), named([*'01'])),
    ],
)
def test_classes_that_fit(train, test):
    check_classes(train, test)


@pytest.mark.parametrize('how', ['folder', 'lmdb_folder', 'tar_folder'])
def test_copies_are_counted(tmp_path, how):
    WRITERS[how](tmp_path, 'train', 'train')
    WRITERS[how](tmp_path, 'test', 'val')
    assert copies(*pair(tmp_path)) == 0
    (tmp_path / 'same').mkdir()
    WRITERS[how](tmp_path / 'same', 'train', 'train')
    WRITERS[how](tmp_path / 'same', 'train', 'val')
    train, test = pair(tmp_path / 'same')
    assert copies(train, test) == len(test) == 12


def test_copies_in_memory(tmp_path):
    assert copies(*pair(idx_folder(tmp_path))) == 0
    for kind in ('images-idx3', 'labels-idx1'):
        shutil.copy(tmp_path / f'train-{kind}-ubyte', tmp_path / f't10k-{kind}-ubyte')
    train, test = pair(tmp_path)
    assert copies(train, test) == len(test) == 60
