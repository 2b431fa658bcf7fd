from collections.abc import Sequence

import torch

from mmdisco.errors import InputError
from ..features.cache import Features
from ..probes.choice import best_setting, held_out_rows, held_out_score
from ..probes.linear_probe import GRID, strength_scores
from ..probes.logistic import cross_entropy_of, fit_classifier
from ..probes.scores import classifier_scores
from ..probes.sgd_probe import sgd_probe

# Of SGD, around the paper's 3 and 30.
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def by_lbfgs(
    train: Features,
    test: Features,
    held_out: float = 0.1,
    grid: Sequence[float] = GRID,
    seed: int = 0,
    device: str = 'cpu',
) -> dict:
    """Logistic regression to convergence, on features that do not change.

    The penalty is chosen by :func:`best_setting` on a part of the training
    images that is held out, as evenly over the classes as can be; then all of
    them train, and the test images are read once.

    Args:
        train (Features): All of its views are training images.
        test (Features): What is scored.
        held_out (float): Share of the training images. Defaults to .1.
        grid (Sequence[float]): Inverse penalties to choose from.
        seed (int): Of what is held out. Defaults to 0.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        dict: Of :func:`classifier_scores`, with ``validation``, top-1 on the
        held-out images by ``strength``, and the ``strength`` chosen.
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


def by_sgd(
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
    """The schedule of linear evaluation, on features that do not change.

    Of several rates one is chosen on held-out training images, as by
    :func:`by_lbfgs`, then all images train. All rates cost one pass each
    time. With one rate nothing is held out: it is the paper's protocol, but
    for the crops.

    Args:
        train (Features): Epoch e trains on view e mod V.
        test (Features): What is scored.
        rates (Sequence[float]): Learning rates.
        held_out (float): Share of the training images. Defaults to .1.
        epochs (int): Defaults to 100.
        batch_size (int): Defaults to 256.
        milestones (Sequence[int]): Epochs after which the rate falls.
        gamma (float): By which factor. Defaults to .1.
        weight_decay (float): Defaults to 0.
        seed (int): Of first weights, order, and what is held out.
        device (str): Where it is computed. Defaults to 'cpu'.

    Returns:
        dict: Of :func:`classifier_scores`, with ``validation``, top-1 on the
        held-out images by rate, and the ``rate`` chosen.

    Raises:
        InputError: If there is no rate, or no epoch; or too few images to
            hold some out.
    """
    if not rates or epochs < 1:
        raise InputError(
            'SGD wants a rate and an epoch at least: set --rates and --epochs'
        )
    classes = len(train.classes)
    options = dict(
        epochs=epochs,
        batch_size=batch_size,
        gamma=gamma,
        milestones=milestones,
        weight_decay=weight_decay,
        seed=seed,
        device=device,
    )
    validation, best = {}, rates[0]
    if len(rates) > 1:
        fit, val = held_out_rows(train.labels, int(held_out * len(train.labels)), seed)
        probes = sgd_probe(
            train.views, train.labels, classes, rates, rows=fit, **options
        )
        validation = {
            rate: held_out_score(
                probes.logits(train.plain[val].to(device), i), train.labels[val]
            )
            for i, rate in enumerate(rates)
        }
        best = best_setting(validation)
    probes = sgd_probe(train.views, train.labels, classes, [best], **options)
    return dict(
        classifier_scores(probes.logits(test.plain.to(device), 0), test.labels),
        rate=best,
        at_edge=_at_edge(best, rates),
        validation={r: score.percent for r, score in validation.items()},
    )


def _at_edge(chosen: float, tried: Sequence[float]) -> bool:
    """Whether something beyond what was tried might be better."""
    return len(tried) > 1 and chosen in (min(tried), max(tried))
