"""Linear probe on features that are extracted once.

That is not the linear evaluation of papers, which draws new crops of each image
in each epoch (configs/benchmarks/linear_*.py): compare its numbers with each
other. --views brings the two closer.
"""

import argparse
import time

from mmengine.dist import is_main_process
from torch import Tensor

from mmdisco.evaluation.options import (
    count,
    eval_parser,
    not_negative,
    positive,
    share,
    whole,
)
from mmdisco.evaluation.probes.choice import held_out_rows
from mmdisco.evaluation.probes.linear_probe import GRID
from mmdisco.evaluation.probes.scores import draw_confusion
from mmdisco.evaluation.protocols import RATES, by_lbfgs, by_sgd
from mmdisco.evaluation.session import prepare, report, report_path, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args():
    parser = eval_parser(__doc__.split('\n')[0])
    parser.add_argument(
        '--by',
        choices=['lbfgs', 'sgd'],
        nargs='+',
        default=['lbfgs', 'sgd'],
        help='default: both',
    )
    parser.add_argument(
        '--views',
        type=count,
        default=0,
        help='random crops of each training image; default: 0, the middle alone',
    )
    parser.add_argument(
        '--scale',
        type=share,
        default=0.08,
        help='least share of the image in a random crop; default: .08',
    )
    parser.add_argument(
        '--held-out',
        type=share,
        default=0.1,
        help='share of the training images that choose penalty and rate',
    )
    parser.add_argument(
        '--strength',
        type=positive,
        nargs='+',
        default=GRID,
        help='inverse penalties of L-BFGS to choose from',
    )
    parser.add_argument(
        '--rates',
        type=positive,
        nargs='+',
        default=RATES,
        help="of SGD to choose from; one is taken as it is, the paper's are 3 and 30",
    )
    parser.add_argument('--epochs', type=whole, default=100)
    parser.add_argument('--sgd-batch-size', type=whole, default=256)
    parser.add_argument(
        '--milestones',
        type=whole,
        nargs='*',
        default=[60, 80],
        help='epochs after which the rate falls',
    )
    parser.add_argument('--gamma', type=positive, default=0.1, help='by which factor')
    parser.add_argument('--weight-decay', type=not_negative, default=0.0)
    return parser.parse_args()


def check_held_out(labels: Tensor, args: argparse.Namespace) -> None:
    """Find too few training images before their features are extracted."""
    if 'lbfgs' in args.by or len(args.rates) > 1:
        held_out_rows(labels, int(args.held_out * len(labels)), args.seed)


def main() -> None:
    args = parse_args()
    ready = prepare(
        args, check=lambda train: check_held_out(train.labels, args), views=args.views
    )
    main_process = is_main_process()
    leave_group()  # nobody waits for the rest
    if not main_process:
        return
    found, told = {}, []
    if 'lbfgs' in args.by:
        start = time.perf_counter()
        found['lbfgs'] = by_lbfgs(
            ready.train,
            ready.test,
            args.held_out,
            args.strength,
            args.seed,
            ready.device,
        )
        found['lbfgs']['seconds'] = time.perf_counter() - start
        told.append(('lbfgs', 'L-BFGS', f'C = {found["lbfgs"]["strength"]:g}'))
    if 'sgd' in args.by:
        start = time.perf_counter()
        found['sgd'] = by_sgd(
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
        found['sgd']['seconds'] = time.perf_counter() - start
        told.append(('sgd', 'SGD', f'rate {found["sgd"]["rate"]:g}'))
    parts = []
    # of five classes or fewer, each is among the best five
    five = len(ready.about['classes']) > 5
    for key, name, chosen in told:
        score = found[key]
        say(
            f'{name} ({chosen}): {score["top1"]:.2f} top-1, '
            + (f'{score["top5"]:.2f} top-5, ' if five else '')
            + f'{score["mean_class"]:.2f} mean of the classes; '
            f'calibration error {score["calibration_error"]:.2f} %, '
            f'{score["nll"]:.4f} nats'
        )
        if score['at_edge']:
            say(f'{name}: {chosen} is the edge of what was tried: widen it')
        parts.append(f'{score["top1"]:.2f} % by {name}')
        draw_confusion(
            score['confusion'],
            ready.about['classes'],
            report_path(args, 'linear').with_suffix(f'.{key}.png'),
        )
    say(
        'fixed features: not the linear evaluation of papers, which draws new '
        'crops in each epoch'
    )
    report(
        args,
        'linear',
        dict(ready.about, **found),
        f'{args.model}: linear probe {", ".join(parts)}',
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
