"""Images in the IDX format."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from mmdisco.datasets import IDXImages
from mmdisco.datasets.idx_images import read_idx

DEMO = Path(__file__).parents[2] / 'demo' / 'fashion_mnist'


def write(path, array):
    head = bytes([0, 0, 8, array.ndim]) + b''.join(
        n.to_bytes(4, 'big') for n in array.shape
    )
    path.write_bytes(head + array.tobytes())


def test_plain_and_gzipped_files_are_read_exactly(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (6, 3, 2), np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    write(tmp_path / 't10k-images-idx3-ubyte', images)
    write(tmp_path / 'labels', labels)
    with gzip.open(tmp_path / 't10k-labels-idx1-ubyte.gz', 'wb') as file:
        file.write((tmp_path / 'labels').read_bytes())
    data = IDXImages(tmp_path, split='test', start=1, stop=5)
    assert len(data) == 4 and data.labels.tolist() == [1, 2, 3, 4]
    for i in range(4):
        assert np.array_equal(data[i]['inputs'].numpy(), images[None, i + 1])


def test_the_bundled_subset_is_complete_and_balanced():
    for split, count in (('train', 10000), ('test', 10000)):
        data = IDXImages(DEMO, split)
        assert data.images.shape == (count, 1, 28, 28)
        assert (data.labels.bincount(minlength=10) > 900).all()
    # mean and deviation in the config are those of the training images
    train = IDXImages(DEMO).images.double()
    assert train.mean().item() == pytest.approx(72.94, abs=0.5)
    assert train.std().item() == pytest.approx(90.02, abs=0.5)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='train-images-idx3-ubyte'):
        IDXImages(tmp_path)
    bad = tmp_path / 'bad'
    for content in (b'', b'<html>', bytes([0, 0, 8, 1, 0, 0, 0, 9, 1])):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match="bad' is not a complete IDX"):
            read_idx(bad)
    cut = tmp_path / 'cut.gz'
    cut.write_bytes(gzip.compress(bytes(1000))[:-9])
    with pytest.raises(ValueError, match="cut.gz' is damaged"):
        read_idx(cut)
    with pytest.raises(ValueError, match='no train images from 20000'):
        IDXImages(DEMO, start=20000)
