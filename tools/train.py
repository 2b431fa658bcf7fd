"""Train a model: pre-training, distillation, evaluation, detection."""

import argparse
import os

from mmdisco.apis.training import TrainOptions, build_runner, configure
from mmdisco.launch import LEVELS, ConfigOptions, leave_group, one_line_errors


def parse_args() -> TrainOptions:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a value from the newest one '
        'in the work dir, or start if there is none yet',
    )
    parser.add_argument(
        '--student',
        metavar='CKPT',
        help='checkpoint of the backbone to evaluate or transfer, for '
        "configs/benchmarks and configs/detection; 'random' for a detection "
        'baseline without pre-training',
    )
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--speed',
        choices=LEVELS,
        default='off',
        help="'exact': same results up to rounding; 'auto': may use bf16",
    )
    parser.add_argument(
        '--no-compile',
        dest='compile',
        action='store_false',
        help='--speed without torch.compile, for short runs',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='skip evaluation during training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with ranks x batch x accumulation',
    )
    parser.add_argument('--no-pin-memory', action='store_true')
    parser.add_argument('--no-persistent-workers', action='store_true')
    parser.add_argument(
        '--smoke',
        action='store_true',
        help='run a few tiny iterations on bundled images with a random teacher, '
        'to test a config in a minute',
    )
    parser.add_argument(
        '--commercial',
        action='store_true',
        help='refuse teachers with a licence that forbids commercial use',
    )
    parser.add_argument(
        '--teacher-store',
        metavar='DIR',
        help="embeddings of 'mmdisco store' in place of the teacher",
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        help='override settings of the config, as key=value; lists as '
        'key="[a,b]" or key=a,b, dicts as key="dict(a=1)", None to remove '
        'a hook or an entry of a list',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch passes --local-rank
    parser.add_argument('--local_rank', '--local-rank', type=int)
    args = vars(parser.parse_args())
    rank = args.pop('local_rank')
    if rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(rank))
    return TrainOptions(**args)


def main() -> None:
    cfg, notes = configure(parse_args())
    build_runner(cfg, notes).train()


if __name__ == '__main__':
    with one_line_errors():
        main()
        leave_group()
