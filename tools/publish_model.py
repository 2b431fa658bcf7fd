"""Write the student for publication, and its entry for a metafile.

Optimizer, queue and momentum encoder are dropped. The first 8 digits of the
file's sha256 are appended to its name, as in OpenMMLab's model zoos.
"""

import argparse

from mmdisco.checkpoints import ARCHS
from mmdisco.deploy import Published, entry_of
from mmdisco.launch import one_line_errors
from mmdisco.models import image_size
from mmdisco.utils import atomic_write


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoint',
        help='checkpoint of a training, or an extracted, converted or published file',
    )
    parser.add_argument(
        'out',
        help='NAME.pth is written as NAME-1a2b3c4d.pth; NAME.safetensors is '
        'written as safetensors',
    )
    parser.add_argument(
        '--with-neck',
        action='store_true',
        help='keep the neck, which a teacher needs',
    )
    parser.add_argument(
        '--arch',
        metavar='ARCH',
        help=f'network, if the file does not name it: {", ".join(ARCHS)}; needed for a '
        'class of your own, as package.module:Class',
    )
    parser.add_argument(
        '--size',
        type=image_size,
        default=224,
        help='image size for the FLOPs; default: 224',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    published = Published(args.checkpoint, args.out, args.with_neck, args.arch)
    entry = entry_of(published, args.size)
    published.write()
    path = published.path
    metafile = path.with_suffix('.metafile.yml')
    with atomic_write(metafile) as half:
        half.write_text(entry)
    print(
        f'{entry}\n{path}: {len(published.content) / 2**20:.1f} MiB, '
        f'entry in {metafile}'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
