"""Linear probe on cached features, by L-BFGS or by SGD.

L-BFGS:

- Features standardised by the training split; all views are training images.
- Multinomial logistic regression with an L2 penalty, to convergence.
- Penalty: best top-1 on held-out training images, ties by cross-entropy.
- Then trained on all training images with that penalty.

SGD, the schedule of linear evaluation:

- Features as they are; epoch e trains on view e mod V.
- 100 epochs of 256 images, momentum 0.9, rate times 0.1 after 60 and 80.
- Rate: as the penalty above; with a single rate nothing is held out.

Both:

- Held-out images: 10 % of the training images, stratified by class.
- Score: on all test images, which are read once.

This is not the linear evaluation of papers, which draws new crops of each image
in each epoch.
"""

from collections.abc import Sequence
from functools import partial

import torch

from mmdisco.errors import InputError
from ..features.cache import Features
from ..probes.choice import best_setting, held_out_rows, held_out_score
from ..probes.linear_probe import GRID, strength_scores
from ..probes.logistic import cross_entropy_of, fit_classifier
from ..probes.scores import classifier_scores
from ..probes.sgd_probe import sgd_probe

# Learning rates of SGD, around the paper's 3 and 30.
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def linear_lbfgs(
    train: Features,
    test: Features,
    held_out: float = 0.1,
    grid: Sequence[float] = GRID,
    seed: int = 0,
    device: str = 'cpu',
) -> dict:
    """Logistic regression to convergence.

    Args:
        train (Features): Training images, all views.
        test (Features): Test images, first view.
        held_out (float): Share of the training images that choose the
            penalty. Defaults to 0.1.
        grid (Sequence[float]): Inverse penalties to choose from.
        seed (int): Seed of the held-out images. Defaults to 0.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        dict: Scores of :func:`classifier_scores`; ``validation``, held-out
        top-1 in per cent by ``strength``; the chosen ``strength``; and
        ``at_edge``, whether it is the smallest or largest one tried.
    """
    views, num, _ = train.views.shape
    features = train.views.flatten(0, 1)  # [V * M, D]
    labels = train.labels.repeat(views)
    classes = len(train.classes)
    fit, val = held_out_rows(train.labels, int(held_out * num), seed)
    fit = torch.cat([fit + view * num for view in range(views)])
    validation = strength_scores(features, labels, classes, fit, val, grid, device)
    best = best_setting(validation)
    probe = fit_classifier(
        features, classes, cross_entropy_of(labels, classes), best, device=device
    )
    return dict(
        classifier_scores(probe.logits(test.plain), test.labels),
        strength=best,
        at_edge=_at_edge(best, grid),
        validation={s: score.percent for s, score in validation.items()},
    )


def linear_sgd(
    train: Features,
    test: Features,
    rates: Sequence[float] = RATES,
    held_out: float = 0.1,
    epochs: int = 100,
    batch_size: int = 256,
    milestones: Sequence[int] = (60, 80),
    gamma: float = 0.1,
    weight_decay: float = 0.0,
    seed: int = 0,
    device: str = 'cpu',
) -> dict:
    """SGD with the schedule of linear evaluation.

    All rates train in one pass. A single rate is used as it is: the paper's
    protocol, except for the crops.

    Args:
        train (Features): Training images; epoch e trains on view e mod V.
        test (Features): Test images, first view.
        rates (Sequence[float]): Learning rates to choose from, for
            ``batch_size`` images.
        held_out (float): Share of the training images that choose the rate.
            Defaults to 0.1.
        epochs (int): Passes over the training images. Defaults to 100.
        batch_size (int): Images per step. Defaults to 256.
        milestones (Sequence[int]): Epochs after which the rate decays.
        gamma (float): Factor of the decay. Defaults to 0.1.
        weight_decay (float): L2 penalty. Defaults to 0.
        seed (int): Seed of initial weights, order and held-out images.
        device (str): Device of the computation. Defaults to 'cpu'.

    Returns:
        dict: Scores of :func:`classifier_scores`; ``validation``, held-out
        top-1 in per cent by rate; the chosen ``rate``; and ``at_edge``,
        whether it is the smallest or largest one tried.

    Raises:
        InputError: If there is no rate or no epoch, or too few images to
            hold some out.
    """
    if not rates or epochs < 1:
        raise InputError(
            'SGD needs at least one rate and one epoch: set --rates and --epochs'
        )
    classes = len(train.classes)
    train_probes = partial(
        sgd_probe,
        train.views,
        train.labels,
        classes,
        epochs=epochs,
        batch_size=batch_size,
        milestones=milestones,
        gamma=gamma,
        weight_decay=weight_decay,
        seed=seed,
        device=device,
    )
    validation, best = {}, rates[0]
    if len(rates) > 1:
        fit, val = held_out_rows(train.labels, int(held_out * len(train.labels)), seed)
        probes = train_probes(rates, rows=fit)
        validation = {
            rate: held_out_score(
                probes.logits(train.plain[val].to(device), i), train.labels[val]
            )
            for i, rate in enumerate(rates)
        }
        best = best_setting(validation)
    probes = train_probes([best])
    return dict(
        classifier_scores(probes.logits(test.plain.to(device), 0), test.labels),
        rate=best,
        at_edge=_at_edge(best, rates),
        validation={r: score.percent for r, score in validation.items()},
    )


def _at_edge(chosen: float, tried: Sequence[float]) -> bool:
    """Whether a value beyond those tried might be better."""
    return len(tried) > 1 and chosen in (min(tried), max(tried))
