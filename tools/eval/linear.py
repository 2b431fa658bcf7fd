"""Linear probe on cached features.

This is not the linear evaluation of papers, which draws new crops of each image
in each epoch (configs/benchmarks/linear_*.py): compare its scores only with each
other. --views brings the two closer.
"""

import argparse
import time

from mmengine.dist import is_main_process
from torch import Tensor

from mmdisco.evaluation.options import (
    eval_parser,
    fraction,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    settings_of,
)
from mmdisco.evaluation.probes.choice import held_out_rows
from mmdisco.evaluation.probes.linear_probe import GRID
from mmdisco.evaluation.probes.scores import draw_confusion
from mmdisco.evaluation.protocols import RATES, linear_lbfgs, linear_sgd
from mmdisco.evaluation.session import prepare, report, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args() -> argparse.Namespace:
    parser = eval_parser(__doc__.split('\n')[0])
    parser.add_argument(
        '--by',
        choices=['lbfgs', 'sgd'],
        nargs='+',
        default=['lbfgs', 'sgd'],
        help='optimisers; default: both',
    )
    parser.add_argument(
        '--views',
        type=non_negative_int,
        default=0,
        help='random crops of each training image; default: 0, central crop only',
    )
    parser.add_argument(
        '--scale',
        type=fraction,
        default=0.08,
        help="minimum share of the image's area in a random crop; default: .08",
    )
    parser.add_argument(
        '--held-out',
        type=fraction,
        default=0.1,
        help='share of the training images that choose penalty and rate; default: .1',
    )
    parser.add_argument(
        '--strength',
        type=positive_float,
        nargs='+',
        default=GRID,
        help='inverse penalties of L-BFGS to choose from; default: '
        + ' '.join(f'{strength:g}' for strength in GRID),
    )
    parser.add_argument(
        '--rates',
        type=positive_float,
        nargs='+',
        default=RATES,
        help='learning rates of SGD to choose from, or a single one, as the '
        "paper's 3 or 30; default: " + ' '.join(f'{rate:g}' for rate in RATES),
    )
    parser.add_argument(
        '--epochs', type=positive_int, default=100, help='of SGD; default: 100'
    )
    parser.add_argument(
        '--sgd-batch-size',
        type=positive_int,
        default=256,
        help='images per step of SGD; default: 256',
    )
    parser.add_argument(
        '--milestones',
        type=positive_int,
        nargs='*',
        default=[60, 80],
        help='epochs after which the rate decays; default: 60 80',
    )
    parser.add_argument(
        '--gamma',
        type=positive_float,
        default=0.1,
        help='factor of the decay; default: .1',
    )
    parser.add_argument(
        '--weight-decay', type=non_negative_float, default=0.0, help='default: 0'
    )
    return parser.parse_args()


def check_held_out(labels: Tensor, args: argparse.Namespace) -> None:
    """Reject too few training images before features are extracted."""
    if 'lbfgs' in args.by or len(args.rates) > 1:
        held_out_rows(labels, int(args.held_out * len(labels)), args.seed)


def main() -> None:
    args = parse_args()
    settings = settings_of(args)
    ready = prepare(settings, lambda train: check_held_out(train.labels, args))
    main_process = is_main_process()
    leave_group()  # the rest runs on one process
    if not main_process:
        return
    scores, runs = {}, []
    if 'lbfgs' in args.by:
        start = time.perf_counter()
        scores['lbfgs'] = linear_lbfgs(
            ready.train,
            ready.test,
            args.held_out,
            args.strength,
            args.seed,
            ready.device,
        )
        scores['lbfgs']['seconds'] = time.perf_counter() - start
        runs.append(('lbfgs', 'L-BFGS', f'C = {scores["lbfgs"]["strength"]:g}'))
    if 'sgd' in args.by:
        start = time.perf_counter()
        scores['sgd'] = linear_sgd(
            ready.train,
            ready.test,
            args.rates,
            args.held_out,
            args.epochs,
            args.sgd_batch_size,
            args.milestones,
            args.gamma,
            args.weight_decay,
            args.seed,
            ready.device,
        )
        scores['sgd']['seconds'] = time.perf_counter() - start
        runs.append(('sgd', 'SGD', f'rate {scores["sgd"]["rate"]:g}'))
    parts = []
    # with five classes or fewer, top-5 is always 100 %
    top5 = len(ready.about['classes']) > 5
    for key, name, chosen in runs:
        score = scores[key]
        say(
            f'{name} ({chosen}): {score["top1"]:.2f} top-1, '
            + (f'{score["top5"]:.2f} top-5, ' if top5 else '')
            + f'{score["mean_class"]:.2f} mean of the classes; '
            f'calibration error {score["calibration_error"]:.2f} %, '
            f'{score["nll"]:.4f} nats'
        )
        if score['at_edge']:
            say(f'{name}: {chosen} is at the edge of the values tried: widen the range')
        parts.append(f'{score["top1"]:.2f} % by {name}')
        draw_confusion(
            score['confusion'],
            ready.about['classes'],
            settings.report_path('linear').with_suffix(f'.{key}.png'),
        )
    say(
        'fixed features: not the linear evaluation of papers, which draws new '
        'crops in each epoch'
    )
    report(
        settings,
        'linear',
        dict(ready.about, **scores),
        f'{settings.model}: linear probe {", ".join(parts)}',
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
