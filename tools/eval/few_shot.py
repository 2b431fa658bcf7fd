"""A classifier of a few images of each class, on kept features."""

from mmengine.dist import is_main_process

from mmdisco.evaluation.options import eval_parser, whole
from mmdisco.evaluation.probes.choice import rows_per_class
from mmdisco.evaluation.protocols import by_few_shots, plus_minus
from mmdisco.evaluation.session import prepare, report, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args():
    parser = eval_parser(__doc__)
    parser.add_argument(
        '--k',
        type=whole,
        nargs='+',
        default=[1, 5, 10],
        help='images of each class; default: 1 5 10',
    )
    parser.add_argument(
        '--repeats', type=whole, default=20, help='choices of images; default: 20'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    ready = prepare(
        args,
        check=lambda train: rows_per_class(
            train.labels, len(train.classes), max(args.k), args.seed
        ),
    )
    main_process = is_main_process()
    leave_group()  # nobody waits for the rest
    if not main_process:
        return
    found = {}
    for k in args.k:
        found[k] = by_few_shots(
            ready.train, ready.test, k, args.repeats, args.seed, ready.device
        )
        say(
            f'{k} of each class: {plus_minus(found[k])}, 95 % interval of '
            f'{args.repeats} choices'
        )
    report(
        args,
        'few_shot',
        dict(ready.about, k=found),
        f'{args.model}: few-shot '
        + ', '.join(f'{plus_minus(score)} % of {k}' for k, score in found.items())
        + ' of each class',
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
