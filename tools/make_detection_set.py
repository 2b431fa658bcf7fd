"""Make a small detection set: Fashion-MNIST garments in real photographs.

The layout is that of VOC 07+12 or COCO 2017. The photographs ship with
scikit-image and scikit-learn. Test photographs and garments do not occur in
training images. The same arguments make the same files.
"""

import argparse
from pathlib import Path

from mmdisco.datasets.detection.synthetic import FASHION_NAMES, make_set
from mmdisco.launch import one_line_errors
from mmdisco.launch.smoke import DEMO


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--kind',
        choices=['voc', 'coco'],
        required=True,
        help='layout of the folders and annotations',
    )
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='folder to write, e.g. data/garments_voc',
    )
    parser.add_argument(
        '--train', type=int, default=2000, help='training images; default: 2000'
    )
    parser.add_argument(
        '--test', type=int, default=500, help='test images; default: 500'
    )
    parser.add_argument(
        '--size',
        type=int,
        default=128,
        help='side of the images in pixels; default: 128',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of all random choices; default: 0'
    )
    parser.add_argument(
        '--objects',
        type=Path,
        default=DEMO,
        help="folder of Fashion-MNIST's IDX files; default: demo/fashion_mnist",
    )
    parser.add_argument(
        '--photos',
        choices=['skimage', 'sklearn'],
        default='skimage',
        help='ten photographs of scikit-image (default), or two of scikit-learn',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    made = make_set(
        args.out,
        args.kind,
        args.train,
        args.test,
        args.objects,
        size=args.size,
        seed=args.seed,
        photos=args.photos,
    )
    print(f'{args.out}, as {args.kind}:')
    print(' ' * 12 + ''.join(f'{split.split:>8}' for split in made))
    for title, values in [
        ('images', [split.images for split in made]),
        *zip(FASHION_NAMES, zip(*(split.objects for split in made))),
    ]:
        print(f'{title:12}' + ''.join(f'{value:8}' for value in values))


if __name__ == '__main__':
    with one_line_errors():
        main()
