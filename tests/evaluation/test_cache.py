"""Cached features: their header, and when they are extracted again."""

import json
import os
import threading

import numpy as np
import pytest
import torch

from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.features.cache import read_features
from mmdisco.evaluation.features.views import Crop
from tests.evaluation.tiny import (
    checkpoint,
    extracted,
    idx_folder,
    pictures,
    plain_features,
)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """Checkpoint, data, and features that nobody may change."""
    root = tmp_path_factory.mktemp('tiny')
    backbone = checkpoint(root / 'model.pth')
    data = idx_folder(root / 'data')
    extracted(root / 'model.pth', data, root / 'features')
    return root, backbone


@pytest.fixture
def kept(tiny, tmp_path):
    """A copy of the features, long untouched."""
    root, _ = tiny
    (tmp_path / 'train').mkdir()
    for path in (root / 'features/train').iterdir():
        copy = tmp_path / 'train' / path.name
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (1e9, 1e9))
    return tmp_path


def again(tiny, kept, model='model.pth', data='data', **options):
    root, _ = tiny
    return extracted(root / model, root / data, kept, **options)


def times(folder):
    return {p.name: p.stat().st_mtime for p in (folder / 'train').iterdir()}


def test_what_is_written(tiny):
    root, backbone = tiny
    found = read_features(root / 'features/train')
    images, labels = pictures('train')
    assert found.views.shape == (1, 60, 32)
    torch.testing.assert_close(
        found.plain, plain_features(backbone, images), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(found.labels, labels)
    assert found.classes == ['0', '1', '2']
    assert found.header['num'] == 60 and found.header['dtype'] == 'float32'
    assert sorted(p.name for p in (root / 'features').rglob('*')) == [
        'features.npy',
        'header.json',
        'labels.npy',
        'train',
    ]


def test_features_are_found_again(tiny, kept):
    before = times(kept)
    found = again(tiny, kept, batch_size=7)
    assert times(kept) == before and {*before.values()} == {1e9}
    expected = read_features(tiny[0] / 'features/train')
    assert torch.equal(found.plain, expected.plain)


def test_a_change_in_memory_stays_there(kept):
    found = read_features(kept / 'train')
    before = found.plain[0].clone()
    found.plain[0] = 0
    assert torch.equal(read_features(kept / 'train').plain[0], before)


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(crop=Crop(16, 16)), 'another transform'),
        (dict(views=2), 'another number of views'),
        (dict(dtype='float16'), 'another precision'),
    ],
)
def test_features_of_something_else_are_not_taken(tiny, kept, options, said):
    before = times(kept)
    with pytest.raises(InputError) as caught:
        again(tiny, kept, **options)
    line = str(caught.value)
    assert f"'{kept}/train' has features of {said} (" in line
    assert 'remove it, or set another --features' in line
    assert '\n' not in line and times(kept) == before


def test_features_of_another_checkpoint_or_other_data(tiny, kept, tmp_path):
    root, _ = tiny
    checkpoint(root / 'other.pth', seed=1)
    idx_folder(root / 'fewer', train=slice(50))
    # as many images of the same labels, other pixels
    pixels = idx_folder(root / 'pixels') / 'train-images-idx3-ubyte'
    pixels.write_bytes(pixels.read_bytes()[:-1] + b'\x07')
    for options, said in (
        (dict(model='other.pth'), 'another checkpoint'),
        (dict(data='fewer'), 'other images'),
        (dict(data='pixels'), 'other images'),
    ):
        with pytest.raises(InputError, match=f'has features of {said}'):
            again(tiny, kept, **options)


def test_the_seed_counts_where_something_is_random(tiny, tmp_path):
    again(tiny, tmp_path / 'views', views=1, seed=0)
    with pytest.raises(InputError, match='other random views'):
        again(tiny, tmp_path / 'views', views=1, seed=1)
    again(tiny, tmp_path / 'plain', seed=0)
    again(tiny, tmp_path / 'plain', seed=1)


def test_a_killed_extraction_is_begun_anew(tiny, tmp_path):
    half = tmp_path / 'train.half'
    half.mkdir()
    np.save(half / 'features.npy', np.ones((1, 60, 32), 'float32'))
    (half / 'junk').write_text('of another run')
    found = again(tiny, tmp_path)
    assert not [*tmp_path.glob('*.*.half')]
    assert sorted(times(tmp_path)) == ['features.npy', 'header.json', 'labels.npy']
    expected = read_features(tiny[0] / 'features/train')
    assert torch.equal(found.plain, expected.plain)


def test_a_folder_of_something_else_is_left_alone(tiny, tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train/thesis.tex').write_text('mine')
    with pytest.raises(InputError, match='exists but has no features'):
        again(tiny, tmp_path)
    assert (tmp_path / 'train/thesis.tex').read_text() == 'mine'


def test_what_is_damaged_is_named(kept):
    folder = kept / 'train'
    whole = (folder / 'features.npy').read_bytes()
    (folder / 'features.npy').write_bytes(whole[:-100])
    with pytest.raises(InputError, match=f"'{folder}' is damaged .*remove"):
        read_features(folder)
    (folder / 'features.npy').unlink()
    with pytest.raises(MissingFileError, match=f"remove '{folder}'"):
        read_features(folder)
    header = json.loads((folder / 'header.json').read_text())
    assert header['num'] == 60
    (folder / 'header.json').write_text('{"num": ')
    with pytest.raises(InputError, match='remove the folder'):
        read_features(folder)
    (folder / 'header.json').unlink()
    with pytest.raises(MissingFileError, match='header.json is missing'):
        read_features(folder)


def test_two_that_extract_at_once_keep_whole_features(tiny, tmp_path):
    """Both begin before one has ended; no row is lost."""
    begun = threading.Barrier(2)
    found = []

    def one():
        begun.wait()
        found.append(again(tiny, tmp_path).plain.clone())

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = read_features(tiny[0] / 'features/train').plain
    assert len(found) == 2
    assert all(torch.equal(x, expected) for x in found)
    assert torch.equal(read_features(tmp_path / 'train').plain, expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['train']
