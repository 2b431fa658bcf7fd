"""Linear probe on a few images per class, on cached features."""

import argparse

from mmengine.dist import is_main_process

from mmdisco.evaluation.options import eval_parser, positive_int, settings_of
from mmdisco.evaluation.probes.choice import rows_per_class
from mmdisco.evaluation.protocols import few_shot_accuracy, plus_minus
from mmdisco.evaluation.session import prepare, report, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args() -> argparse.Namespace:
    parser = eval_parser(__doc__)
    parser.add_argument(
        '--k',
        type=positive_int,
        nargs='+',
        default=[1, 5, 10],
        help='images per class; default: 1 5 10',
    )
    parser.add_argument(
        '--repeats', type=positive_int, default=20, help='draws of images; default: 20'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = settings_of(args)
    ready = prepare(
        settings,
        lambda train: rows_per_class(
            train.labels, len(train.classes), max(args.k), args.seed
        ),
    )
    main_process = is_main_process()
    leave_group()  # the rest runs on one process
    if not main_process:
        return
    scores = {}
    for k in args.k:
        scores[k] = few_shot_accuracy(
            ready.train, ready.test, k, args.repeats, args.seed, ready.device
        )
        say(
            f'{k} per class: {plus_minus(scores[k])}, 95 % interval over '
            f'{args.repeats} draws'
        )
    report(
        settings,
        'few_shot',
        dict(ready.about, k=scores),
        f'{settings.model}: few-shot '
        + ', '.join(f'{plus_minus(score)} % with {k}' for k, score in scores.items())
        + ' per class',
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
