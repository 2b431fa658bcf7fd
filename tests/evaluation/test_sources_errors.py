"""Errors for sources that are missing, damaged or do not fit."""

import shutil
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from mmdisco.datasets import LocalCIFAR10
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.sources import check_pair, open_photos, open_source
from tests.evaluation.test_sources import (
    WRITERS,
    folder,
    idx,
    mixed,
    pictures,
    png,
    put_lmdb,
    put_tar,
    tar_pairs,
)


def said(action, *args, error=InputError):
    """The message, which must be one line."""
    with pytest.raises(error) as caught:
        action(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def files(root, split, classes, name=None, per_class=1):
    """A folder of class folders with small images."""
    for label in classes:
        for i in range(per_class):
            path = root / (name or split) / label / f'{i}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('L', (4, 4)).save(path)


def test_nothing_known_and_what_was_looked_for(tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train/flat.png').write_bytes(png(pictures('train')[0]))
    line = said(open_source, str(tmp_path), error=MissingFileError)
    assert line.startswith(f"'{tmp_path}' has no train images: looked for ")
    for name in (
        'train/CLASS/*.jpg',
        'train.lmdb',
        'train-*.tar',
        'train-images-idx3-ubyte(.gz)',
        'cifar-10-batches-py',
        'cifar-100-python',
    ):
        assert name in line
    missing = str(tmp_path / 'none')
    assert said(open_source, missing, error=MissingFileError) == (
        f"folder of images '{missing}' not found"
    )
    assert said(open_photos, missing, error=MissingFileError) == (
        f"folder of photos '{missing}' not found"
    )
    assert "split is 'val'" in said(open_source, missing, 'val')


@pytest.mark.parametrize('how', ['folder', 'lmdb_folder', 'tar_folder'])
def test_a_missing_split(tmp_path, how):
    WRITERS[how](tmp_path, 'train', 'train')
    line = said(open_source, str(tmp_path), 'test', error=MissingFileError)
    assert line.startswith(
        f"'{tmp_path}' has no test images, only train "
        'images: looked for val/CLASS/*.jpg'
    )
    assert '(or validation, test)' in line


def test_a_missing_split_of_idx_and_cifar(tmp_path, monkeypatch):
    idx(tmp_path, 'train', '')
    assert f"IDX file '{tmp_path}/t10k-images-idx3-ubyte'" in said(
        open_source, str(tmp_path), 'test', error=MissingFileError
    )
    (tmp_path / 'train-images-idx3-ubyte').unlink()
    for split in ('train', 'test'):
        monkeypatch.setattr(LocalCIFAR10, f'{split}_list', [[split, None]])
    WRITERS['cifar10'](tmp_path, 'train', '')
    line = said(open_source, str(tmp_path), error=MissingFileError)
    assert f"'{tmp_path}/cifar-10-batches-py' is incomplete" in line
    assert f'unpack {LocalCIFAR10.url} in' in line


def test_several_kinds_are_named(tmp_path):
    folder(tmp_path, 'train', 'train')
    WRITERS['lmdb_folder'](tmp_path, 'train', 'train')
    WRITERS['tar_system'](tmp_path, 'train', 'train')
    assert said(open_source, str(tmp_path)) == (
        f"'{tmp_path}' has train images of several kinds, LMDB 'train.lmdb' "
        "and 'train.tar' and class folders in 'train': leave only one of them "
        'there'
    )


def test_an_empty_class_folder(tmp_path):
    files(tmp_path, 'train', 'ab')
    (tmp_path / 'train/c').mkdir()
    expected = "has class folders without an image, 1 of 3, e.g. 'c'"
    assert expected in said(open_source, str(tmp_path))
    with tarfile.open(tmp_path / 'train.tar', 'w') as tar:
        tar.add(tmp_path / 'train', '.')
    shutil.rmtree(tmp_path / 'train')
    line = said(open_source, str(tmp_path))
    assert expected in line and str(tmp_path / 'train.tar') in line


@pytest.mark.parametrize('how', ['folder', 'lmdb_file', 'tar_folder', 'idx'])
def test_another_number_of_classes(tmp_path, how):
    WRITERS[how](tmp_path, 'train', 'train')
    line = said(open_source, str(tmp_path), 'train', 2)
    assert 'num_classes is 2' in line and str(tmp_path) in line
    if how == 'idx':
        assert 'has label 2, outside the classes' in line
    else:
        assert 'have 3 classes' in line
        assert 'num_classes is 4' in said(open_source, str(tmp_path), 'train', 4)


@pytest.mark.parametrize('share', range(1, 20))
def test_a_shard_cut_anywhere_is_refused(tmp_path, share):
    WRITERS['tar_folder'](tmp_path, 'train', 'train')
    path = tmp_path / 'train-001.tar'
    whole = path.read_bytes()
    # its content: six members of a header and two or three blocks; what
    # follows is mere padding
    used = len(whole.rstrip(b'\0')) // 512 * 512 + 512
    path.write_bytes(whole[: used * share // 19])
    line = said(open_source, str(tmp_path))
    assert f"'{path}'" in line and 'copy it again' in line


def test_a_shard_cut_between_members_or_with_a_broken_header(tmp_path):
    items = [(path, data) for path, data, _ in mixed('train')]
    path = tmp_path / 'train.tar'
    put_tar(path, items)
    whole = path.read_bytes()
    start = whole.index(items[5][0].encode())  # of the sixth header
    for damaged in (
        whole[:start],
        whole[: start + 100],
        whole[:start] + b'junk' + whole[start + 4 :],
    ):
        path.write_bytes(damaged)
        assert f"'{path}' is damaged or truncated at byte {start}" in said(
            open_source, str(tmp_path)
        )
    path.write_bytes(b'')
    assert f"'{path}' is not a complete tar file" in said(open_source, str(tmp_path))


def test_a_compressed_shard_and_a_link_are_refused(tmp_path):
    path = tmp_path / 'train.tar'
    with tarfile.open(path, 'w:gz') as tar:
        tar.add(__file__, 'a/0.png')
    assert 'or a compressed one' in said(open_source, str(tmp_path))
    with tarfile.open(path, 'w') as tar:
        link = tarfile.TarInfo('a/0.png')
        link.type, link.linkname = tarfile.SYMTYPE, '/data/0.png'
        tar.addfile(link)
    assert f"'{path}' has 'a/0.png', a link" in said(open_source, str(tmp_path))


def test_mixed_layouts_of_shards(tmp_path):
    picture = png(pictures('train')[0])
    path = tmp_path / 'train-0.tar'
    put_tar(path, [('0.png', picture), ('0.cls', b'1'), ('1.png', picture)])
    assert f"'{path}' has an image 'train-0.tar/1' without label" in said(
        open_source, str(tmp_path)
    )
    put_tar(path, [('0.png', picture), ('0.cls', b'1'), ('1.cls', b'0')])
    assert "has a label 'train-0.tar/1' without image" in said(
        open_source, str(tmp_path)
    )
    put_tar(path, [('0.png', picture), ('0.cls', b'1')])
    put_tar(tmp_path / 'train-1.tar', [('a/0.png', picture)])
    assert "has an image 'train-1.tar/a/0' without label" in said(
        open_source, str(tmp_path)
    )
    put_tar(path, [('a/0.png', picture)])
    assert "'a/0.png' is in" in said(open_source, str(tmp_path))
    put_tar(path, [('flat.png', picture)])
    assert "has 'flat.png': its images should be named 'class/name.jpg'" in (
        said(open_source, str(tmp_path))
    )


@pytest.mark.parametrize('text', ['dog', '-1', '', '1.0', '9' * 10])
def test_a_label_of_a_pair_is_a_number(tmp_path, text):
    put_tar(
        tmp_path / 'train.tar',
        [('0.png', png(pictures('train')[0])), ('0.cls', text.encode())],
    )
    assert f"'0.cls' in '{tmp_path}/train.tar' has '{text}'" in said(
        open_source, str(tmp_path)
    )


def test_labels_of_pairs_outside_the_classes(tmp_path):
    tar_pairs(tmp_path, 'train', 'train')
    assert 'has label 2, outside the classes: num_classes is 2' in said(
        open_source, str(tmp_path), 'train', 2
    )


@pytest.mark.parametrize('how', ['lmdb_folder', 'lmdb_file'])
def test_a_damaged_database(tmp_path, how):
    WRITERS[how](tmp_path, 'train', 'train')
    path = tmp_path / 'train.lmdb'
    data = path / 'data.mdb' if path.is_dir() else path
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    line = said(open_source, str(tmp_path))
    assert f"'{path}' is truncated, {len(whole) // 2} of " in line
    # another path, as a process keeps what it opened
    for name in ('junk', 'empty'):
        other = tmp_path / name / 'train.lmdb'
        other.parent.mkdir()
        if path.is_dir():
            other.mkdir()
        junk = bytes(range(256)) * 64 if name == 'junk' else b''
        (other / 'data.mdb' if path.is_dir() else other).write_bytes(junk)
        line = said(open_source, str(tmp_path / name))
        assert f"'{other}' is not a readable LMDB" in line


def test_a_database_without_images_or_classes(tmp_path):
    picture = png(pictures('train')[0])
    for name, items, expected in (
        ('number', [('image-0001', picture)], 'has no image'),
        ('flat', [('0.png', picture)], "has '0.png'"),
    ):
        (tmp_path / name).mkdir()
        put_lmdb(tmp_path / name / 'train.lmdb', items)
        line = said(open_source, str(tmp_path / name))
        assert f"train.lmdb' {expected}: its images should be named" in line


def test_the_package_of_a_database_is_missing(tmp_path, monkeypatch):
    WRITERS['lmdb_folder'](tmp_path, 'train', 'train')
    monkeypatch.setitem(sys.modules, 'lmdb', None)
    assert said(open_source, str(tmp_path)) == (
        f"'{tmp_path}/train.lmdb' needs the package lmdb: pip install lmdb"
    )


@pytest.mark.parametrize('how', ['folder', 'lmdb', 'tar'])
def test_an_unreadable_image_is_named(tmp_path, how):
    items = [(path, data) for path, data, _ in mixed('train')]
    items[4] = items[4][0], items[4][1][:60]
    if how == 'folder':
        folder(tmp_path, 'train', 'train')
        (tmp_path / 'train' / items[4][0]).write_bytes(items[4][1])
        expected = f"image '{tmp_path}/train/{items[4][0]}' can't be read"
    elif how == 'lmdb':
        put_lmdb(tmp_path / 'train.lmdb', items)
        expected = f"image '{items[4][0]}' of '{tmp_path}/train.lmdb' can't"
    else:
        put_tar(tmp_path / 'train.tar', items)
        expected = f"image '{items[4][0]}' in '{tmp_path}/train.tar' can't"
    source = open_source(str(tmp_path))
    index = source.names.index(items[4][0])
    assert expected in said(source.__getitem__, index)
    others = [i for i in range(12) if i != index]
    assert all(
        np.array_equal(np.asarray(source[i])[..., 0], pictures('train')[i])
        for i in others
    )


def test_photos(tmp_path):
    assert 'holds no image' in said(open_photos, str(tmp_path))
    (tmp_path / 'a.jpg').write_text('junk')
    photos = open_photos(str(tmp_path))
    assert f"image '{tmp_path}/a.jpg' can't be read" in said(photos.__getitem__, 0)
    assert 'has no labels' in said(check_pair, photos, photos)


@pytest.mark.parametrize(
    'test, expected',
    [
        (
            'abd',
            "train images of '{0}' have 3 classes, test images of '{0}' 3: "
            "only in train: 'c', only in test: 'd'",
        ),
        ('abcde', "test images of '{0}' 5: only in test: 'd' and 1 more"),
        ('bc', "test images of '{0}' 2: only in train: 'a'"),
        # labels would be right by chance
        ('ab', "test images of '{0}' 2: only in train: 'c'"),
    ],
)
def test_classes_of_the_splits_differ(tmp_path, test, expected):
    files(tmp_path, 'train', 'abc')
    files(tmp_path, 'val', test)
    pair = [open_source(str(tmp_path), split) for split in ('train', 'test')]
    assert expected.format(tmp_path) in said(check_pair, *pair)


def test_numbered_classes_of_the_splits(tmp_path):
    picture = png(pictures('train')[0])

    def pair(train, test):
        for name, labels in (('train', train), ('val', test)):
            items = []
            for i, label in enumerate(labels):
                items += [(f'{i}.png', picture), (f'{i}.cls', b'%d' % label)]
            put_tar(tmp_path / f'{name}.tar', items)
        return [open_source(str(tmp_path), split) for split in ('train', 'test')]

    check_pair(*pair([0, 1, 2], [0, 0]))
    assert "only in test: '3'" in said(check_pair, *pair([0, 1, 2], [3, 0]))
    assert "have no image of 1 of 3 classes, e.g. '0'" in said(
        check_pair, *pair([1, 2], [1, 2])
    )
    train, test = pair([0, 1], [0, 1])
    test.labels += 1
    assert 'have label 2, outside the classes: there are 2' in said(
        check_pair, train, test
    )


def test_numbers_as_names_of_folders_are_sorted_as_text(tmp_path):
    files(tmp_path, 'train', map(str, range(11)))
    put_tar(
        tmp_path / 'val.tar', [('0.png', png(pictures('test')[0])), ('0.cls', b'10')]
    )
    pair = [open_source(str(tmp_path), split) for split in ('train', 'test')]
    line = said(check_pair, *pair)
    assert "have class '10' where" in line and "have '2': store both" in line
    files(tmp_path, 'test', '012', 'other/val')  # '2' is the fifth of train
    other = open_source(str(tmp_path / 'other'), 'test')
    assert 'only in train: ' in said(check_pair, pair[0], other)
