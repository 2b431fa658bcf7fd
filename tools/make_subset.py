"""Choose a share of a labelled folder's images, the same share of each class.

For the semi-supervised evaluation where SimCLR's lists can't be had. The choice
is of this tool: a score by it does not compare with one by SimCLR's list.
"""

import argparse

from mmdisco.datasets.subsets import subset
from mmdisco.launch import one_line_errors
from mmdisco.utils import atomic_write


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'folder', help='with one folder for each class, as data/imagenet/train'
    )
    parser.add_argument('percent', help='of the images to take, as 1 or 10')
    parser.add_argument(
        '--out',
        required=True,
        help='list to write, an image a line, as data/imagenet/own_1percent.txt',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the choice; default: 0')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with atomic_write(args.out) as half:
        half.touch()  # or says at once that it can't be written
        paths = subset(args.folder, args.percent, args.seed)
        half.write_text('\n'.join(paths) + '\n')
    print(
        f'{args.out}: {len(paths)} images, seed {args.seed}. Set '
        'train_dataloader.dataset.ann_file to it, and num_images likewise '
        f'to {len(paths)}'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
