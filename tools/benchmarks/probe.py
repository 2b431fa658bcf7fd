"""CPU seconds of the linear probe by L-BFGS beside scikit-learn's.

Both standardise the features and minimise the same objective, alternately. The
features are drawn: class means and noise of a spectrum that falls as that of a
network's features does, without negative values. scikit-learn's tolerance is the
largest power of ten at which its objective is at most a millionth above ours.
`grid` is the choice among five penalties, each solution by mmdisco from the last.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mmdisco.evaluation import cross_entropy_of
from mmdisco.evaluation.probes.linear_probe import GRID
from mmdisco.evaluation.probes.logistic import fit_classifiers
from mmdisco.experiments.stats import write_json
from mmdisco.launch import one_line_errors

TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
Fit = tuple[np.ndarray, np.ndarray]  # weights [D, C] and biases [C]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--images', type=int, default=10000)
    parser.add_argument('--width', type=int, default=512)
    parser.add_argument('--classes', type=int, default=10)
    parser.add_argument(
        '--decay', type=float, default=1.0, help='exponent of the spectrum; default: 1'
    )
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--json', type=Path, help='file to write')
    return parser.parse_args()


def draw(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Features, fp32 [N, D], and labels, [N]."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, args.classes, args.images)
    means = 0.5 * rng.normal(size=(args.classes, args.width))
    x = means[labels] + rng.normal(size=(args.images, args.width))
    x *= np.arange(1, args.width + 1) ** (-args.decay / 2)
    turn, _ = np.linalg.qr(rng.normal(size=(args.width, args.width)))
    x = x @ turn
    return (x + x.std()).clip(0).astype(np.float32), labels


def by_mmdisco(x: np.ndarray, y: np.ndarray, grid: Sequence[float]) -> list[Fit]:
    """Fit by mmdisco."""
    features, labels = torch.from_numpy(x), torch.from_numpy(y)
    classes = int(y.max()) + 1
    probes = fit_classifiers(features, classes, cross_entropy_of(labels, classes), grid)
    return [(probe.weight.numpy(), probe.bias.numpy()) for probe in probes]


def by_sklearn(
    x: np.ndarray, y: np.ndarray, grid: Sequence[float], tol: float
) -> list[Fit]:
    """Fit by scikit-learn, in the precision of the features."""
    scaled = StandardScaler().fit_transform(x)
    models = [
        LogisticRegression(C=strength, tol=tol, max_iter=100000).fit(scaled, y)
        for strength in grid
    ]
    return [(model.coef_.T, model.intercept_) for model in models]


def objectives(
    x: np.ndarray, y: np.ndarray, grid: Sequence[float], fits: Sequence[Fit]
) -> np.ndarray:
    """Mean cross-entropy plus penalty of each fit, in double precision."""
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    values = []
    for strength, (weight, bias) in zip(grid, fits):
        logits = scaled @ weight.astype(np.float64) + bias
        data = -log_softmax(logits, 1)[np.arange(len(y)), y].mean()
        values.append(data + (weight**2).sum() / (2 * strength * len(y)))
    return np.array(values)


def cpu_seconds(function: Callable) -> float:
    """CPU seconds of a call, of all threads."""
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(
    x: np.ndarray, y: np.ndarray, grid: Sequence[float], rounds: int
) -> dict[str, object]:
    """Seconds and objectives of both on the same penalties."""
    ours = objectives(x, y, grid, by_mmdisco(x, y, grid))
    for tol in TOLERANCES:
        theirs = objectives(x, y, grid, by_sklearn(x, y, grid, tol))
        if (theirs <= ours * (1 + 1e-6)).all():
            break
    sides = {
        'mmdisco': partial(by_mmdisco, x, y, grid),
        'scikit-learn': partial(by_sklearn, x, y, grid, tol),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(cpu_seconds(side))
    seconds = {name: median(values) for name, values in times.items()}
    return dict(
        grid=list(grid),
        seconds=seconds,
        ratio=seconds['mmdisco'] / seconds['scikit-learn'],
        sklearn_tol=tol,
        objective=dict(zip(sides, (ours.tolist(), theirs.tolist()))),
        all=times,
    )


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    x, y = draw(args)
    rows = {f'C={c:g}': compare(x, y, [c], args.rounds) for c in GRID}
    rows['grid'] = compare(x, y, GRID, args.rounds)
    for name, row in rows.items():
        print(
            f'{name:8} mmdisco {row["seconds"]["mmdisco"]:.2f} s, scikit-learn '
            f'{row["seconds"]["scikit-learn"]:.2f} s (tol {row["sklearn_tol"]:g}): '
            f'{row["ratio"]:.2f}'
        )
    if args.json:
        settings = {k: v for k, v in vars(args).items() if k != 'json'}
        write_json(args.json, dict(settings=settings, rows=rows))


if __name__ == '__main__':
    with one_line_errors():
        main()
