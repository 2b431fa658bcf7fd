import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from mmdisco.evaluation import extract_features, linear_probe


def blobs(n, seed):
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, 3, n)
    centres = np.random.RandomState(9).randn(3, 6)
    x = centres[labels] + 1.2 * rng.randn(n, 6)
    return torch.from_numpy(x * 50 + 7).float(), torch.from_numpy(labels)


def test_probe_equals_sklearn_by_hand():
    x, y = blobs(300, 0)
    test_x, test_y = blobs(200, 1)
    grid = (1e-3, 1e-1)
    result = linear_probe(x, y, test_x, test_y, held_out=100, grid=grid)
    scores = []
    for strength in grid:
        mean, std = x[:200].mean(0), x[:200].std(0, unbiased=False)
        model = LogisticRegression(C=strength).fit((x[:200] - mean) / std, y[:200])
        scores.append(model.score((x[200:] - mean) / std, y[200:]))
    best = grid[int(np.argmax(scores))]
    assert result['strength'] == best
    np.testing.assert_allclose(result['validation'], 100 * max(scores))
    mean, std = x.mean(0), x.std(0, unbiased=False)
    model = LogisticRegression(C=best).fit((x - mean) / std, y)
    np.testing.assert_allclose(
        result['accuracy'], 100 * model.score((test_x - mean) / std, test_y), atol=0.51
    )  # one of 200 images may fall on the boundary


def test_the_test_labels_do_not_choose_the_penalty():
    x, y = blobs(300, 0)
    test_x, test_y = blobs(50, 1)
    honest = linear_probe(x, y, test_x, test_y, 100)
    spoilt = linear_probe(x, y, test_x, (test_y + 1) % 3, 100)
    assert honest['strength'] == spoilt['strength']
    assert honest['accuracy'] != spoilt['accuracy']


def test_features_are_means_of_the_last_map_in_eval_mode():
    class Backbone(torch.nn.Module):
        def forward(self, x):
            assert not self.training
            return x, 2 * x

    backbone = Backbone()
    images = torch.randint(0, 256, (7, 3, 4, 4), dtype=torch.uint8)
    feats = extract_features(backbone, images, lambda x: x.float() + 1, 3)
    for row, image in zip(feats, images):
        expected = [2 * (c.double() + 1).mean().item() for c in image]
        np.testing.assert_allclose(row, expected, rtol=1e-5)
    assert backbone.training
