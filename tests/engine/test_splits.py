"""Data sets on which a classifier's scores would be meaningless."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mmdisco.datasets import LabelledPhotos
from mmdisco.engine.online import draw_samples, labels_of
from mmdisco.engine.splits import check_list, check_splits, copies
from mmdisco.errors import InputError

COUNT = iter(range(10**6))


def photos(root, classes, num=2):
    for name in classes:
        for i in range(num):
            path = root / name / f'{i}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), next(COUNT) % 256, np.uint8)).save(path)


def listed(root, name, lines):
    (root / name).write_text('\n'.join(lines) + '\n')
    return name


def opened(root, train='', val=''):
    return [
        LabelledPhotos(str(root), split, ann_file=ann_file)
        for split, ann_file in (('train', train), ('val', val))
    ]


def check(train, val):
    check_splits(train, labels_of(train), val, labels_of(val))


def refused(train, val):
    with pytest.raises(InputError) as caught:
        check(train, val)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    'train, val, expected',
    [
        ('abc', 'bcz', "only in train: 'a', only in test: 'z'"),
        ('abc', 'ab', "only in train: 'c'"),
        ('ab', 'abc', "only in test: 'c'"),
        (['Dog', 'a'], ['a', 'dog'], 'differ by upper and lower case'),
        ('a', 'a', "a single class, 'a'"),
    ],
)
def test_class_folders_differ(tmp_path, train, val, expected):
    photos(tmp_path / 'train', train)
    photos(tmp_path / 'val', val)
    line = refused(*opened(tmp_path))
    assert expected in line and f"'{tmp_path}/train'" in line


def test_lists(tmp_path):
    photos(tmp_path / 'train', 'abc')
    photos(tmp_path / 'val', 'abc')
    classes = [f'{name}/0.png' for name in 'abc']
    ours = listed(tmp_path, 'ours.txt', classes)
    other = listed(
        tmp_path,
        'other.txt',
        [f'{path} {label}' for path, label in zip(classes, (2, 0, 1))],
    )
    check(*opened(tmp_path))
    check(*opened(tmp_path, ours))
    check(*opened(tmp_path, other, other))
    for lists in ((other,), (ours, other)):
        assert "images in a folder 'a' have label " in refused(
            *opened(tmp_path, *lists)
        )
    from_one = listed(
        tmp_path,
        'one.txt',
        [f'{path} {label}' for path, label in zip(classes, (1, 2, 3))],
    )
    assert 'have label 3, outside the classes' in refused(
        *opened(tmp_path, from_one, from_one)
    )
    few = listed(tmp_path, 'few.txt', classes[:2])
    assert "no image of 1 of 3 classes, e.g. 'c'" in refused(*opened(tmp_path, few))


def test_missing_and_repeated_images_of_a_list(tmp_path):
    photos(tmp_path / 'train', 'ab')
    photos(tmp_path / 'val', 'ab')
    lines = ['a/0.png', 'b/0.png', 'b/1.png']
    for more, expected in (
        ([], None),
        (['b/2.png', 'a/none/0.png 0'], '2 of 5 images that '),
        (['b/./1.png', 'a/1.png'], ' lists 1 images more than once'),
    ):
        train, val = opened(tmp_path, listed(tmp_path, 'l.txt', lines + more))
        check_list(val)
        if expected is None:
            check_list(train)
            continue
        with pytest.raises(InputError) as caught:
            check_list(train)
        assert expected in str(caught.value)
        assert str(tmp_path / 'l.txt') in str(caught.value)


def test_a_training_list_may_repeat_an_image_with_its_label(tmp_path):
    photos(tmp_path / 'train', 'ab')
    photos(tmp_path / 'val', 'ab')
    lines = ['a/0.png 0', 'b/0.png 1', 'b/0.png 1']
    train, _ = opened(tmp_path, listed(tmp_path, 'l.txt', lines))
    check_list(train, repeats=True)
    train, _ = opened(tmp_path, listed(tmp_path, 'l.txt', [*lines, 'a/0.png 1']))
    with pytest.raises(
        InputError,
        match=' lists 1 images with several labels, '
        "e.g. '.*/train/a/0.png': list each once",
    ):
        check_list(train, repeats=True)


@pytest.mark.parametrize(
    'train, val',
    [
        ((0, 1, 2, 0, 1, 2), (0, 1, 1, 0, 1, 0)),  # any label in either folder
        ((0, 0, 0, 0, 1, 1), (0, 0, 0, 0, 1, 1)),  # three folders of two classes
    ],
)
def test_folders_need_not_be_the_classes_of_a_list(tmp_path, train, val):
    lists = []
    for split, labels in (('train', train), ('val', val)):
        photos(tmp_path / split, 'abc')
        paths = sorted((tmp_path / split).glob('*/*'))
        lines = [
            f'{path.relative_to(tmp_path / split)} {label}'
            for path, label in zip(paths, labels)
        ]
        lists.append(listed(tmp_path, f'{split}.txt', lines))
    check(*opened(tmp_path, *lists))


def test_images_without_folders_by_a_list(tmp_path):
    """Like ImageNet's val."""
    photos(tmp_path / 'train', 'abc')
    photos(tmp_path, ['val'], 3)
    check(
        *opened(
            tmp_path, '', listed(tmp_path, 'val.txt', ['0.png 0', '1.png 2', '2.png 2'])
        )
    )
    assert 'val images of' in refused(
        *opened(
            tmp_path, '', listed(tmp_path, 'val.txt', ['0.png 1', '1.png 2', '2.png 3'])
        )
    )


def test_copies(tmp_path):
    photos(tmp_path / 'train', 'ab')
    photos(tmp_path / 'val', 'ab')
    assert copies(*opened(tmp_path)) == 0
    shutil.copy(tmp_path / 'train/b/1.png', tmp_path / 'val/b/1.png')
    assert copies(*opened(tmp_path)) == 1
    shutil.rmtree(tmp_path / 'val')
    (tmp_path / 'val').symlink_to('train')
    assert copies(*opened(tmp_path)) == 4
    assert copies(torch.zeros(3), torch.zeros(3)) == 0


def test_samples_of_online_knn(tmp_path):
    photos(tmp_path / 'train', 'abc')
    photos(tmp_path / 'val', 'acd')
    configs = [
        dict(type='LabelledPhotos', data_root=str(tmp_path), data_prefix=split)
        for split in ('train', 'val')
    ]
    with pytest.raises(InputError, match="only in train: 'b', only in test"):
        draw_samples(None, *configs, (4, 4), 0, 2, 0)
