"""Lists of a share of the images: numbers per class, and the selection."""

import random
import re
from collections import Counter
from fractions import Fraction

import pytest

from mmdisco.datasets import LabelledPhotos
from mmdisco.datasets.subsets import class_shares
from tests.tools import run


@pytest.mark.parametrize('percent, total', [(1, 12811), (10, 128116)])
def test_of_imagenet_as_many_as_simclrs_lists(percent, total):
    # ILSVRC 2012 has 895 classes of 1300, the others between 732 and 1299
    counts = [1300] * 895 + [1119] * 104
    counts.append(1281167 - sum(counts))
    assert 732 <= counts[-1] <= 1299 and len(counts) == 1000
    shares = class_shares(counts, Fraction(percent, 100), random.Random(0))
    assert sum(shares) == total
    for count, share in zip(counts, shares):
        assert abs(share - count * percent / 100) < 1


@pytest.fixture
def folder(tmp_path):
    """Classes of 9, 30 and 61 empty files."""
    for name, count in (('a b', 9), ('c', 30), ('d', 61)):
        (tmp_path / 'train' / name).mkdir(parents=True)
        for i in range(count):
            (tmp_path / 'train' / name / f'{name}_{i}.JPEG').touch()
    return tmp_path


def make(folder, percent, seed, name):
    done = run(
        'python',
        'tools/make_subset.py',
        folder / 'train',
        percent,
        '--seed',
        seed,
        '--out',
        folder / name,
    )
    lines = (folder / name).read_text().splitlines()
    return done, lines


def test_a_list_that_is_read_back_with_its_labels(folder):
    done, lines = make(folder, '10', 3, 'few.txt')
    assert Counter(line.split('/')[0] for line in lines) == {'a b': 1, 'c': 3, 'd': 6}
    assert len({*lines}) == 10 and 'few.txt: 10 images, seed 3' in done.stdout
    data = LabelledPhotos(str(folder), 'train', ann_file='few.txt', num_images=10)
    assert Counter(data.get_gt_labels().tolist()) == {0: 1, 1: 3, 2: 6}
    assert make(folder, '10', 3, 'again.txt')[1] == lines
    assert make(folder, '10', 4, 'other.txt')[1] != lines


def test_unusable_shares_are_errors(folder, fails):
    for percent, words in (
        ('5', "5 % of .* has no image of 1 of 3 classes, e.g. 'a b'"),
        ('0', "'0' is not a percentage"),
        ('120', "'120' is not"),
        ('few', "'few' is not"),
    ):
        line = fails(
            'tools/make_subset.py',
            folder / 'train',
            percent,
            '--out',
            folder / 'none.txt',
        )
        assert re.search(words, line), line
    line = fails(
        'tools/make_subset.py', folder / 'nowhere', '1', '--out', folder / 'none.txt'
    )
    assert "nowhere' not found" in line
    assert not list(folder.glob('*none.txt'))
