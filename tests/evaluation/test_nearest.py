"""Exact nearest neighbours and kNN votes."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from mmdisco.errors import InputError
from mmdisco.evaluation import check_labels, knn_scores, nearest
from mmdisco.evaluation.features.cache import Features
from mmdisco.evaluation.features.neighbours import nearest_neighbours
from mmdisco.evaluation.protocols import knn_accuracy

CHUNKS = [(1, 1), (7, 5), (1024, 13), (4, 16384), (1024, 16384)]


def random_features(num, dim, seed):
    values = np.random.default_rng(seed).normal(size=(num, dim))
    return torch.from_numpy(values).float()


def kept(features, labels, classes=3):
    return Features(features[None], labels, [*map(str, range(classes))], {})


@pytest.mark.parametrize('rows, columns', CHUNKS)
def test_chunks_give_what_a_plain_loop_gives(rows, columns):
    train, test = random_features(41, 6, 0), random_features(17, 6, 1)
    cosine, index = nearest(train, test, 9, rows, columns)
    for n, query in enumerate(test.double().numpy()):
        similar = [
            float(query @ row) / float(np.linalg.norm(query) * np.linalg.norm(row))
            for row in train.double().numpy()
        ]
        best = sorted(range(41), key=lambda i: -similar[i])[:9]
        assert index[n].tolist() == best
        np.testing.assert_allclose(cosine[n], [similar[i] for i in best], atol=1e-6)


@pytest.mark.parametrize('rows, columns', CHUNKS)
def test_it_equals_scikit_learn(rows, columns):
    train, test = random_features(60, 8, 2), random_features(11, 8, 3)
    cosine, index = nearest(train, test, 60, rows, columns)
    distance, expected = (
        NearestNeighbors(n_neighbors=60, metric='cosine').fit(train).kneighbors(test)
    )
    assert np.array_equal(index, expected)
    np.testing.assert_allclose(1 - cosine, distance, atol=1e-5)


def test_norms_and_half_precision_and_memory_maps(tmp_path):
    train, test = random_features(30, 5, 4), random_features(6, 5, 5)
    half = train.half()
    np.save(tmp_path / 'train.npy', half.numpy())
    mapped = torch.from_numpy(np.load(tmp_path / 'train.npy', mmap_mode='c'))
    expected = nearest(half.float(), test, 4)
    for found in (nearest(mapped, test, 4, columns=7), nearest(half * 2, 64 * test, 4)):
        assert torch.equal(found[1], expected[1])
        torch.testing.assert_close(found[0], expected[0])


def test_each_k_of_a_sweep_votes_as_if_alone():
    train, test = random_features(50, 4, 6), random_features(23, 4, 7)
    labels = torch.arange(50) % 7
    truth = torch.arange(23) % 7
    found = knn_accuracy(
        kept(train, labels, 7), kept(test, truth, 7), (1, 3, 20, 50), (0.07, 0.5)
    )
    assert [*found] == [(k, t) for k in (1, 3, 20, 50) for t in (0.07, 0.5)]
    for (k, temperature), scores in found.items():
        votes = knn_scores(train, labels, test, 7, k, temperature)
        best = votes.argsort(dim=1, descending=True)
        assert scores['top1'] == pytest.approx(
            100 * np.mean([t == b[0] for t, b in zip(truth, best)])
        )
        if (votes > 0).sum(1).min() >= 5:  # else ties of nothing
            assert scores['top5'] == pytest.approx(
                100 * np.mean([t in b[:5] for t, b in zip(truth, best)])
            )


def test_votes_are_sums_of_exponentials():
    train, test = random_features(30, 4, 8), random_features(5, 4, 9)
    labels = torch.arange(30) % 3
    votes = knn_scores(train, labels, test, 3, 6, 0.2, chunk=2)
    cosine = torch.cosine_similarity(
        test[:, None].double(), train[None].double(), dim=2
    )
    for n, row in enumerate(cosine):
        sums = [0.0, 0.0, 0.0]
        for i in sorted(range(30), key=lambda i: -row[i])[:6]:
            sums[labels[i]] += np.exp(float(row[i]) / 0.2)
        np.testing.assert_allclose(votes[n], sums, rtol=1e-4)


def test_what_can_not_be_searched():
    train, labels = random_features(9, 4, 0), torch.arange(9) % 3
    with pytest.raises(InputError, match='k=10 neighbours of 9 training'):
        knn_accuracy(kept(train, labels), kept(train, labels), (1, 10))
    with pytest.raises(InputError, match='are 4-d, test features 5-d'):
        nearest(train, random_features(9, 5, 0), 2)
    for bad in (3, -1):
        wrong = labels.clone()
        wrong[4] = bad
        expected = f'label {bad} is outside the 3 classes, 0 to 2'
        with pytest.raises(InputError, match=expected):
            check_labels(wrong, 3)
        for train_labels, test_labels in ((wrong, labels), (labels, wrong)):
            with pytest.raises(InputError, match=expected):
                knn_accuracy(kept(train, train_labels), kept(train, test_labels), (1,))


def tied_features(num, dim, seed):
    """Of length 2, with exact products; many are copies."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((num, dim))
    for row in rows:
        row[rng.choice(6, 4, replace=False)] = rng.choice([-1, 1], 4)
    return torch.from_numpy(rows).float()


@pytest.mark.parametrize('k', [1, 3, 9, 41])
@pytest.mark.parametrize('rows, columns', [*CHUNKS, (3, 40), (16, 8)])
def test_of_equal_cosines_the_lower_index_is_first(rows, columns, k):
    train, test = tied_features(41, 16, 0), tied_features(17, 16, 1)
    cosine, index = nearest(train, test, k, rows, columns)
    for n, query in enumerate(test.tolist()):
        similar = [sum(a * b for a, b in zip(query, row)) / 4 for row in train.tolist()]
        best = sorted(range(41), key=lambda i: (-similar[i], i))[:k]
        assert index[n].tolist() == best
        assert cosine[n].tolist() == [similar[i] for i in best]
    own = nearest_neighbours(train, min(k, 40), chunk=rows)
    for n, query in enumerate(train.tolist()):
        similar = [sum(a * b for a, b in zip(query, row)) / 4 for row in train.tolist()]
        best = sorted({*range(41)} - {n}, key=lambda i: (-similar[i], i))
        assert own[n].tolist() == best[: min(k, 40)]


@pytest.mark.parametrize('columns', [2, 5, 16384])
def test_features_that_are_all_zero_have_the_first_neighbours(columns):
    _, index = nearest(torch.zeros(11, 3), torch.ones(2, 3), 4, columns=columns)
    assert index.tolist() == [[0, 1, 2, 3]] * 2


def test_chunks_do_not_decide_between_copies():
    """Real numbers, each three times, whose classes differ."""
    train = random_features(40, 12, 0).repeat(3, 1)
    labels = torch.arange(120) % 7
    test = random_features(30, 12, 1)
    expected = knn_scores(train, labels, test, 7, 4)
    for chunk in (1, 7, 30):
        found = knn_scores(train, labels, test, 7, 4, chunk=chunk)
        assert torch.equal(found.argmax(1), expected.argmax(1))
    for rows, columns in CHUNKS:
        index = nearest(train, test, 4, rows, columns)[1]
        assert torch.equal(index, nearest(train, test, 4)[1])


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_features_that_are_not_finite(bad):
    train, test = random_features(20, 4, 0), random_features(5, 4, 1)
    train[7, 2] = bad
    for search in (
        lambda: nearest(train, test, 3, columns=6),
        lambda: nearest(test, train, 3),
        lambda: nearest_neighbours(train, 3),
    ):
        with pytest.raises(InputError, match='features are not finite'):
            search()
