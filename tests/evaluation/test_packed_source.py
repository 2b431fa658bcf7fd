"""Packed images in the evaluation, in feature extraction and in mmdisco check."""

import json

import numpy as np
import pytest

from mmdisco.apis.audit import audit
from mmdisco.apis.packing import pack
from mmdisco.apis.photos import SkippingPhotos
from mmdisco.datasets import LabelledPhotos
from mmdisco.datasets.packed import ShardError
from mmdisco.datasets.subsets import subset
from mmdisco.engine.splits import copies
from mmdisco.errors import InputError
from mmdisco.evaluation.sources import check_pair, open_photos, open_source
from tests.apis.album import write_model
from tests.evaluation.test_sources import CLASSES, folder, labels, paths, pixels
from tests.tools import run


@pytest.fixture
def splits(tmp_path):
    """Class folders of both splits, and the same images packed."""
    plain, packed = tmp_path / 'plain', tmp_path / 'packed'
    for split, name in (('train', 'train'), ('test', 'val')):
        folder(plain, split, name)
        pack(plain / name, packed / name, copy=True, shard_mb=0.02, workers=0)
    return plain, packed


@pytest.mark.parametrize('split', ['train', 'test'])
def test_splits_are_those_of_the_folders(splits, split):
    plain, packed = (open_source(str(each), split) for each in splits)
    assert packed.kind == 'packed' and plain.kind == 'folder'
    assert packed.names == plain.names == paths(split)
    assert packed.labels.tolist() == plain.labels.tolist() == labels(split)
    assert packed.classes == CLASSES
    assert np.array_equal(pixels(packed), pixels(plain))
    assert packed.fingerprint() != plain.fingerprint()
    assert [*packed.sizes] == [len(packed.read(i)) for i in range(len(packed))]
    check_pair(*(open_source(str(splits[1]), each) for each in ('train', 'test')))


def test_without_splits_every_fifth_image_is_for_testing(splits, tmp_path):
    pack(splits[0] / 'train', tmp_path / 'all', copy=True, workers=0)
    with pytest.raises(InputError, match='fewer than five images'):
        open_source(str(tmp_path / 'all'), 'test')
    for i in range(2):  # more of each
        for name in paths('train'):
            data = (splits[0] / 'train' / name).read_bytes()
            (splits[0] / 'train' / f'{name[:-4]}-{i}.png').write_bytes(data)
    pack(splits[0] / 'train', tmp_path / 'more', copy=True, workers=0)
    for split in ('train', 'test'):
        plain = open_source(str(splits[0] / 'train'), split)
        packed = open_source(str(tmp_path / 'more'), split)
        assert packed.names == plain.names and len(plain)
        assert np.array_equal(pixels(packed), pixels(plain))


def test_packed_images_without_classes_are_not_scored(splits, tmp_path):
    pack(splits[0] / 'train', tmp_path / 'a', workers=0, labels=False)
    with pytest.raises(InputError, match='packed images without classes'):
        open_source(str(tmp_path / 'a'))
    assert open_photos(str(tmp_path / 'a')).labels is None


def test_photos_are_skipped_only_if_they_are_unreadable(splits):
    plain, packed = splits
    (plain / 'train' / 'bag' / 'cut.jpg').write_bytes(b'\xff\xd8\xff')
    (packed / 'train' / 'shards.json').unlink()
    for path in (packed / 'train').iterdir():
        path.unlink()
    pack(plain / 'train', packed / 'train', copy=True, shard_mb=0.02, workers=0)
    one, other = (SkippingPhotos(str(each / 'train')) for each in splits)
    assert one.names == other.names
    assert np.array_equal(pixels(one)[:3], pixels(other)[:3])
    assert [one[i].size for i in range(13)] == [other[i].size for i in range(13)]
    assert one.unreadable.tolist() == other.unreadable.tolist()
    assert other.counts() == "13 files, 1 skipped (1 can't be read)"
    next((packed / 'train').glob('*.tar')).write_bytes(b'')
    with pytest.raises(ShardError):
        [other[i] for i in range(13)]


def test_a_check_of_packed_photos_is_that_of_the_folder(splits):
    plain, packed = splits
    data = (plain / 'train' / 'bag' / '00.png').read_bytes()
    (plain / 'train' / 'bag' / 'copy.png').write_bytes(data)
    pack(plain / 'train', packed / 'again', copy=True, workers=0)
    reports = [audit(str(each)) for each in (plain / 'train', packed / 'again')]
    reports[0].folder = reports[1].folder
    assert reports[0] == reports[1]
    assert reports[1].copies == [['bag/00.png', 'bag/copy.png']]


def test_subsets_and_copies_are_those_of_the_folder(splits):
    plain, packed = (str(each / 'train') for each in splits)
    assert subset(packed, '50', 3) == subset(plain, '50', 3)
    data = [LabelledPhotos(each) for each in (plain, packed)]
    assert copies(data[0], data[0]) == copies(data[1], data[1]) == 12
    val = [LabelledPhotos(str(each / 'val')) for each in splits]
    assert copies(data[1], val[1]) == copies(data[0], val[0])


def test_tools_give_the_features_and_scores_of_the_folder(splits, tmp_path):
    options = '--resize', 32, '--crop', 32, '--batch-size', 8
    model = tmp_path / 'epoch_1.pth'
    write_model(model)
    features, scores = [], []
    for name, root in zip(('plain', 'packed'), splits):
        out = tmp_path / f'{name}.npz'
        run(
            'python',
            'tools/extract_features.py',
            model,
            root / 'train',
            '--out',
            out,
            *options,
        )
        features.append(dict(np.load(out)))
        report = tmp_path / f'{name}.json'
        run(
            'python',
            'tools/eval/knn.py',
            model,
            '--data',
            root,
            '--features',
            tmp_path / f'{name}-features',
            '--out',
            report,
            *options,
        )
        scores.append(json.loads(report.read_text())['summary'])
    for key in ('names', 'features'):
        assert np.array_equal(features[0][key], features[1][key])
    assert scores[0] == scores[1]
