"""Extract the features of a folder of photos, at any depth, with their names.

Unreadable photos are skipped and listed in OUT.skipped.txt. The last line counts
all files of the folder.
"""

import argparse
import shutil
from pathlib import Path

from mmengine.dist import barrier, is_main_process

from mmdisco.apis.photos import SkippingPhotos, check_out, write_features
from mmdisco.evaluation.features.extract import extract_split
from mmdisco.evaluation.options import add_images, add_model, settings_of
from mmdisco.evaluation.session import load_encoder, say
from mmdisco.launch import leave_group, one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    parser.add_argument(
        'photos', help='folder of images; class folders are searched like any other'
    )
    parser.add_argument(
        '--out',
        required=True,
        type=Path,
        help='file to write: .npz with names, features and header; .npy with '
        'OUT.names.txt; or .parquet',
    )
    add_images(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = settings_of(args)
    check_out(args.out)
    photos = SkippingPhotos(args.photos, settings.background)
    encoder, _ = load_encoder(settings)
    crop = settings.crop_of(photos.kind, encoder.size)
    scratch = args.out.with_name(f'half.{args.out.name}.features')
    try:
        if is_main_process():  # left by a killed run
            shutil.rmtree(scratch, ignore_errors=True)
        barrier()
        views = extract_split(
            encoder,
            photos,
            crop,
            scratch / 'all',
            dtype=settings.dtype,
            batch_size=settings.batch_size,
            num_workers=settings.workers,
        ).views
        photos.share()
        if is_main_process():
            extracted = photos.extracted(views[0].numpy())
            write_features(
                args.out,
                extracted,
                dict(
                    model=encoder.name,
                    sha256=encoder.sha256,
                    normalisation=encoder.normalisation,
                    transform=dict(
                        resize=crop.resize,
                        crop=crop.crop,
                        interpolation=crop.interpolation,
                    ),
                    background=args.background,
                    photos=args.photos,
                    skipped=len(extracted.skipped),
                ),
            )
            say(
                f'{len(extracted.names)} images, {extracted.features.shape[1]}-d, of '
                f'{photos.counts()}: {args.out}'
            )
    finally:
        if is_main_process():
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == '__main__':
    with one_line_errors():
        main()
        leave_group()
