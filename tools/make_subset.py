"""Sample a share of a labelled folder's images, the same share of each class.

For semi-supervised evaluation without SimCLR's lists. Scores with this list are
not comparable to scores with SimCLR's.
"""

import argparse

from mmdisco.datasets.subsets import subset
from mmdisco.launch import one_line_errors
from mmdisco.utils import atomic_write


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'folder', help='folder of class folders, e.g. data/imagenet/train'
    )
    parser.add_argument('percent', help='share of the images, e.g. 1 or 10')
    parser.add_argument(
        '--out',
        required=True,
        help='list to write, one image per line, e.g. data/imagenet/own_1percent.txt',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the sample; default: 0'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with atomic_write(args.out) as half:
        half.touch()  # fail early if it can't be written
        paths = subset(args.folder, args.percent, args.seed)
        half.write_text('\n'.join(paths) + '\n')
    print(
        f'{args.out}: {len(paths)} images, seed {args.seed}. Set '
        'train_dataloader.dataset.ann_file to this file and '
        f'train_dataloader.dataset.num_images to {len(paths)}'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
