"""Export the student's backbone to another runtime or library, and check it.

The exported file is loaded and compared with the network on noise and on
photographs; it is kept only if they agree to 1e-4 of the largest entry. The
batch size is free, the image size fixed.

With --format timm and a folder (an OUT without an ending), it writes config.json,
model.safetensors and a model card, which timm.create_model('local-dir:OUT',
pretrained=True) loads.
"""

import argparse

from mmdisco.checkpoints import ARCHS
from mmdisco.deploy import FORMATS, Card, check_repo, export_student, upload
from mmdisco.launch import one_line_errors
from mmdisco.models import image_size


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoint',
        help='checkpoint of a training, or an extracted, converted or published file',
    )
    parser.add_argument('out', help='file to write, or a folder for timm')
    parser.add_argument('--format', required=True, choices=FORMATS)
    parser.add_argument(
        '--arch',
        metavar='ARCH',
        help=f'network, if the file does not name it: {", ".join(ARCHS)}; needed for a '
        'class of your own, as package.module:Class',
    )
    parser.add_argument(
        '--feature-maps',
        action='store_true',
        help='export maps at strides 4, 8, 16 and 32, for a detector, instead of '
        'one vector per image',
    )
    parser.add_argument(
        '--size',
        type=image_size,
        help='height and width of images; default: those of the training if the file '
        'records them, else 224',
    )
    parser.add_argument(
        '--fuse',
        action=argparse.BooleanOptionalAction,
        help='fuse branches and batch norms in a graph; default: in networks of other '
        'libraries',
    )
    folder = parser.add_argument_group('folder of --format timm')
    folder.add_argument(
        '--data-description',
        metavar='TEXT',
        help='training images, as the model card describes them',
    )
    folder.add_argument(
        '--scores',
        metavar='FILE',
        nargs='+',
        default=[],
        help='reports of tools/eval (JSON) or tables (CSV) for the model card',
    )
    folder.add_argument(
        '--license',
        metavar='NAME',
        help="licence of the student's weights for the model card, e.g. mit",
    )
    folder.add_argument(
        '--upload',
        metavar='USER/NAME',
        help='upload the folder to the Hugging Face Hub, or to HF_ENDPOINT, with the '
        'token in HF_TOKEN',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    given = args.data_description or args.scores or args.license or args.upload
    card = Card(args.data_description, tuple(args.scores), args.license)
    if args.upload:
        check_repo(args.upload)
    print(
        export_student(
            args.checkpoint,
            args.out,
            args.format,
            args.arch,
            args.feature_maps,
            args.size,
            args.fuse,
            card if given else None,
            f'tools/export_student.py --format {args.format}'
            + (f' --size {args.size}' if args.size else ''),
        )
    )
    if args.upload:
        print(f'  uploaded to  {upload(args.out, args.upload)}')


if __name__ == '__main__':
    with one_line_errors():
        main()
