"""kNN accuracy of a frozen backbone, at several k and temperatures at once."""

from mmdisco.evaluation.features.neighbours import check_neighbours
from mmdisco.evaluation.options import eval_parser, positive, whole
from mmdisco.evaluation.protocols import KS, TEMPERATURES, by_knn
from mmdisco.evaluation.session import prepare, report, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args():
    parser = eval_parser(__doc__)
    parser.add_argument(
        '--k',
        type=whole,
        nargs='+',
        help='neighbours; '
        f'default: {" ".join(map(str, KS))}, as far as there '
        'are so many training images',
    )
    parser.add_argument(
        '--temperature',
        type=positive,
        nargs='+',
        default=TEMPERATURES,
        help=f'default: {" ".join(map(str, TEMPERATURES))}',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    ready = prepare(
        args, check=lambda train: check_neighbours(max(args.k or [1]), len(train))
    )
    ks = args.k or [k for k in KS if k <= len(ready.train.labels)]
    scores = by_knn(ready.train, ready.test, ks, args.temperature, ready.device)
    # of five classes or fewer, each is among the best five
    five = len(ready.about['classes']) > 5
    for (k, temperature), found in scores.items():
        say(
            f'k = {k}, T = {temperature}: {found["top1"]:.2f} top-1'
            + (f', {found["top5"]:.2f} top-5' if five else '')
        )
    k, temperature = (20, 0.07) if (20, 0.07) in scores else [*scores][0]
    found = scores[k, temperature]
    rows = [dict(k=k, temperature=t, **score) for (k, t), score in scores.items()]
    report(
        args,
        'knn',
        dict(ready.about, scores=rows),
        f'{args.model}: kNN (k = {k}, T = {temperature}) '
        f'{found["top1"]:.2f} % top-1'
        + (f', {found["top5"]:.2f} % top-5' if five else ''),
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
        leave_group()
