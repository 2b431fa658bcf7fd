"""Linear probe on a fraction of the labels, on cached features."""

import argparse

from mmengine.dist import is_main_process

from mmdisco.evaluation.options import eval_parser, positive_int, settings_of
from mmdisco.evaluation.protocols import check_fractions, label_fraction, plus_minus
from mmdisco.evaluation.session import prepare, report, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args() -> argparse.Namespace:
    parser = eval_parser(__doc__)
    parser.add_argument(
        '--percent',
        nargs='+',
        default=['1', '10'],
        help='percentages of the labels; default: 1 10',
    )
    parser.add_argument(
        '--repeats', type=positive_int, default=5, help='draws of images; default: 5'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = settings_of(args)
    ready = prepare(
        settings,
        lambda train: check_fractions(train.labels, len(train.classes), args.percent),
    )
    main_process = is_main_process()
    leave_group()  # the rest runs on one process
    if not main_process:
        return
    scores = {}
    for percent in args.percent:
        scores[percent] = label_fraction(
            ready.train, ready.test, percent, args.repeats, args.seed, ready.device
        )
        say(
            f'{percent} % of the labels, {scores[percent]["images"]} images: '
            f'{plus_minus(scores[percent])}'
        )
    report(
        settings,
        'semi',
        dict(ready.about, percent=scores),
        f'{settings.model}: linear probe '
        + ', '.join(
            f'{plus_minus(score)} % with {percent} % of the labels'
            for percent, score in scores.items()
        ),
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
