from pathlib import Path

import numpy as np
import pytest
import torch

from mmdisco.evaluation import knn_scores

GOLD = Path(__file__).parents[1] / 'data' / 'knn.npz'


@pytest.mark.parametrize('chunk', [7, 1024])
@pytest.mark.parametrize('k, temperature', [(20, 0.07), (10, 0.2)])
def test_votes_equal_the_public_implementation(k, temperature, chunk):
    gold = np.load(GOLD)
    train, labels, test = (
        torch.from_numpy(gold[key])
        for key in ('train_features', 'train_labels', 'test_features')
    )
    votes = knn_scores(train, labels, 3 * test, 20, k, temperature, chunk)
    key = f'k{k}_T{temperature}/'
    np.testing.assert_allclose(votes, gold[key + 'class_scores'], rtol=1e-4, atol=1e-4)
    top5 = votes.topk(5).indices.numpy()
    assert np.array_equal(top5[:, 0], gold[key + 'pred_top1'])
    mask = gold[key + 'top5_has_vote']
    assert np.array_equal(top5[mask], gold[key + 'pred_top5'][mask])


def test_fewer_features_than_neighbours_is_an_error():
    with pytest.raises(ValueError, match='k=20 neighbours of 3'):
        knn_scores(torch.eye(3), torch.arange(3), torch.eye(3), 3)


def test_votes_at_a_low_temperature_do_not_overflow():
    """One neighbour decides: the most similar one."""
    torch.manual_seed(0)
    train, test = torch.randn(60, 8), torch.randn(20, 8)
    labels = torch.arange(60) % 7
    unit = torch.nn.functional.normalize
    nearest = (unit(test) @ unit(train).T).argmax(1)
    votes = knn_scores(train, labels, test, 7, 20, 0.0025)
    assert torch.equal(votes.argmax(1), labels[nearest])
    with pytest.raises(ValueError, match='kNN temperature 0.001'):
        knn_scores(train, labels, test, 7, 20, 0.001)
