"""Linear probe that sees a share of the labels, on kept features."""

from mmengine.dist import is_main_process

from mmdisco.evaluation.options import eval_parser, whole
from mmdisco.evaluation.protocols import by_share, check_shares, plus_minus
from mmdisco.evaluation.session import prepare, report, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args():
    parser = eval_parser(__doc__)
    parser.add_argument(
        '--percent', nargs='+', default=['1', '10'], help='of the labels; default: 1 10'
    )
    parser.add_argument(
        '--repeats', type=whole, default=5, help='choices of images; default: 5'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    ready = prepare(
        args,
        check=lambda train: check_shares(
            train.labels, len(train.classes), args.percent
        ),
    )
    main_process = is_main_process()
    leave_group()  # nobody waits for the rest
    if not main_process:
        return
    found = {}
    for percent in args.percent:
        found[percent] = by_share(
            ready.train, ready.test, percent, args.repeats, args.seed, ready.device
        )
        say(
            f'{percent} % of the labels, {found[percent]["images"]} images: '
            f'{plus_minus(found[percent])}'
        )
    report(
        args,
        'semi',
        dict(ready.about, percent=found),
        f'{args.model}: linear probe '
        + ', '.join(
            f'{plus_minus(score)} % with {percent} % of the labels'
            for percent, score in found.items()
        ),
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
