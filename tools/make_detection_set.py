"""Make a small detection set: Fashion-MNIST's garments in real photographs.

In the layout of VOC 07+12 or of COCO 2017. The photographs are those inside
scikit-image and scikit-learn; those of the test images, and their garments,
are in no training image. The same arguments make the same files.
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
        '--out', type=Path, required=True, help='folder to make, as data/garments_voc'
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
        '--seed', type=int, default=0, help='of all that is drawn; default: 0'
    )
    parser.add_argument(
        '--objects',
        type=Path,
        default=DEMO,
        help="folder of Fashion-MNIST's IDX files; default: "
        'those in demo/fashion_mnist',
    )
    parser.add_argument(
        '--photos',
        choices=['skimage', 'sklearn'],
        default='skimage',
        help='ten photographs, or the two of scikit-learn if scikit-image is not there',
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
