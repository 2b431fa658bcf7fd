"""kNN accuracy of a frozen backbone, for several k and temperatures at once."""

import argparse

from mmdisco.evaluation.features.neighbours import check_neighbours
from mmdisco.evaluation.options import (
    eval_parser,
    positive_float,
    positive_int,
    settings_of,
)
from mmdisco.evaluation.protocols import KS, TEMPERATURES, knn_accuracy
from mmdisco.evaluation.session import prepare, report, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args() -> argparse.Namespace:
    parser = eval_parser(__doc__)
    parser.add_argument(
        '--k',
        type=positive_int,
        nargs='+',
        help=f'numbers of neighbours; default: {" ".join(map(str, KS))}, up to the '
        'number of training images',
    )
    parser.add_argument(
        '--temperature',
        type=positive_float,
        nargs='+',
        default=TEMPERATURES,
        help=f'default: {" ".join(map(str, TEMPERATURES))}',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = settings_of(args)
    ready = prepare(
        settings, lambda train: check_neighbours(max(args.k or [1]), len(train))
    )
    ks = args.k or [k for k in KS if k <= len(ready.train.labels)]
    scores = knn_accuracy(ready.train, ready.test, ks, args.temperature, ready.device)
    # with five classes or fewer, top-5 is always 100 %
    top5 = len(ready.about['classes']) > 5
    for (k, temperature), score in scores.items():
        say(
            f'k = {k}, T = {temperature}: {score["top1"]:.2f} top-1'
            + (f', {score["top5"]:.2f} top-5' if top5 else '')
        )
    k, temperature = (20, 0.07) if (20, 0.07) in scores else [*scores][0]
    score = scores[k, temperature]
    rows = [dict(k=k, temperature=t, **score) for (k, t), score in scores.items()]
    report(
        settings,
        'knn',
        dict(ready.about, scores=rows),
        f'{settings.model}: kNN (k = {k}, T = {temperature}) '
        f'{score["top1"]:.2f} % top-1'
        + (f', {score["top5"]:.2f} % top-5' if top5 else ''),
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
        leave_group()
