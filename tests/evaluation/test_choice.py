"""The choice of penalty and rate on held-out images."""

from collections import Counter

import pytest
import torch
from sklearn.metrics import log_loss

from mmdisco.errors import InputError
from mmdisco.evaluation import linear_probe
from mmdisco.evaluation.features.cache import Features
from mmdisco.evaluation.probes.choice import (
    HeldOutScore,
    best_setting,
    folds_of,
    held_out_rows,
    held_out_score,
    last_rows,
)
from mmdisco.evaluation.protocols import label_fraction, linear_lbfgs, linear_sgd

COUNTS = [20, 6, 1, 2]  # images of each class, as of a small album


def album(counts=COUNTS, seed=0, width=8):
    """Features that any classifier separates, sorted by class, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    centres = 5 * torch.eye(len(counts), width)
    noise = torch.randn(len(labels), width, generator=generator)
    return centres[labels] + 0.1 * noise, labels


def split(counts, seed):
    x, y = album(counts, seed)
    return Features(x[None], y, [*map(str, range(len(counts)))], {})


@pytest.mark.parametrize(
    'counts', [COUNTS, [50], [3, 3, 3], [1, 1, 2], [1300, 700, 2, 1, 900]]
)
@pytest.mark.parametrize('seed', [0, 1])
def test_rows_are_held_out_evenly_and_each_class_trains(counts, seed):
    _, labels = album(counts)
    spare = sum(counts) - len(counts)
    for held_out in {1, spare // 3 or 1, spare}:
        fit, val = held_out_rows(labels, held_out, seed)
        assert sorted([*fit.tolist(), *val.tolist()]) == [*range(sum(counts))]
        assert len(val) == held_out
        assert {*labels[fit].tolist()} == {*range(len(counts))}
        found = Counter(labels[val].tolist())
        for label, count in enumerate(counts):
            share = (count - 1) * held_out / spare
            assert abs(found[label] - share) < 1
        assert torch.equal(val, held_out_rows(labels, held_out, seed)[1])


def test_another_seed_holds_out_others():
    _, labels = album([30, 30])
    assert not torch.equal(
        held_out_rows(labels, 9, 0)[1], held_out_rows(labels, 9, 1)[1]
    )


@pytest.mark.parametrize('held_out', [0, 26, 29])
def test_more_than_can_be_held_out(held_out):
    with pytest.raises(
        InputError,
        match=f'{held_out} of 29 training images '
        'are held out .* must be 1 to 25, as one of each',
    ):
        held_out_rows(album()[1], held_out, 0)


@pytest.mark.parametrize('counts', [COUNTS, [1, 1, 2], [2, 2], [9, 4, 1, 1]])
def test_folds_hold_out_each_image_once_but_the_only_one_of_a_class(counts):
    _, labels = album([3, *counts])
    rows = (labels > 0).nonzero().flatten()  # the others are not labelled
    seen, folds = [], [*folds_of(labels, rows, 5, 0)]
    assert len(folds) == min(5, sum(n for n in counts if n > 1))
    for fit, val in folds:
        assert sorted([*fit.tolist(), *val.tolist()]) == rows.tolist()
        assert {*labels[fit].tolist()} == {*range(1, 1 + len(counts))}
        seen += val.tolist()
        for label, count in enumerate(counts, 1):
            if count > 1:
                share = count / len(folds)
                assert abs(int((labels[val] == label).sum()) - share) < 1
    assert sorted(seen) == [r for r in rows.tolist() if counts[labels[r] - 1] > 1]


def test_no_fold_without_a_class_of_two():
    _, labels = album([1, 1, 1])
    with pytest.raises(InputError, match='no class has two of the 3 labelled'):
        next(folds_of(labels, torch.arange(3), 5, 0))
    with pytest.raises(InputError, match='tools/eval/few_shot.py'):
        label_fraction(split([10, 10], 0), split([5, 5], 1), '10', repeats=1)


def test_a_score_is_hits_and_cross_entropy():
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9) % 3
    found = held_out_score(logits, labels)
    guess = [max(range(3), key=row.__getitem__) for row in logits.tolist()]
    hits = sum(int(g == t) for g, t in zip(guess, labels.tolist()))
    assert (found.hits, found.num) == (hits, 9)
    assert found.percent == pytest.approx(100 * hits / 9)
    assert found.loss == pytest.approx(
        9 * log_loss(labels, logits.double().softmax(1), labels=[0, 1, 2])
    )
    assert found.plus(found) == (2 * hits, 2 * found.loss, 18)


@pytest.mark.parametrize(
    'scores, best',
    [
        ({0.1: (5, 9.0), 1.0: (6, 20.0), 10.0: (6, 30.0)}, 1.0),  # most hits
        ({0.1: (6, 9.0), 1.0: (6, 3.0), 10.0: (6, 4.0)}, 1.0),  # then the lowest loss
        ({1.0: (6, 3.0), 0.1: (6, 3.0)}, 1.0),
    ],
)  # then the first
def test_ties_go_to_the_lower_loss(scores, best):
    assert (
        best_setting(
            {setting: HeldOutScore(*score, 10) for setting, score in scores.items()}
        )
        == best
    )


@pytest.mark.parametrize('seed', range(3))
def test_probes_of_a_few_unevenly_spread_images_are_right(seed):
    """Under all penalties the two held-out images are classified alike."""
    train, test = split(COUNTS, 0), split([5, 5, 5, 5], 1)
    for found in (
        linear_lbfgs(train, test, seed=seed),
        linear_sgd(train, test, seed=seed),
        label_fraction(train, test, '100', repeats=1, seed=seed),
    ):
        assert found['top1'] == 100


def test_the_last_images_must_not_have_a_class_of_their_own():
    x, y = album([20, 20])
    assert [part.tolist() for part in last_rows(y, 19)] == [
        [*range(21)],
        [*range(21, 40)],
    ]
    with pytest.raises(InputError, match='the last 20 of 40 .* class 1: shuffle'):
        linear_probe(x, y, x, y, 20)
