"""Convert a published checkpoint to this project's names, or say what fails.

The result holds 'backbone.*' and, where the file has a projection head,
'neck.*': a FrozenTeacher takes it, and mmpretrain and mmdet by
init_cfg=dict(type='Pretrained', checkpoint=DST, prefix='backbone.').
"""

import argparse

from mmdisco.checkpoints import (
    ARCHS,
    arch_config,
    check_finite,
    convert,
    fit,
    safe_load,
)
from mmdisco.checkpoints.config_text import kept_normalisation
from mmdisco.checkpoints.families import SOURCES
from mmdisco.checkpoints.fit import report, widths_of
from mmdisco.checkpoints.libraries import VARIANTS
from mmdisco.checkpoints.network import STUDENTS, find_network
from mmdisco.checkpoints.save import ending_of, origin, save_weights
from mmdisco.errors import InputError
from mmdisco.launch import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help='published checkpoint')
    parser.add_argument('dst', help='file to write')
    parser.add_argument(
        '--arch', required=True, metavar='ARCH', help=f'the network: {", ".join(ARCHS)}'
    )
    parser.add_argument(
        '--source',
        default='auto',
        choices=SOURCES,
        help='family of the file; default: by its keys',
    )
    parser.add_argument(
        '--variant',
        default='auto',
        choices=VARIANTS,
        help='of networks that are named alike, the one that '
        "pads as TensorFlow ('tf') or not; default: by the "
        'family, or what the report says is assumed',
    )
    parser.add_argument(
        '--trust',
        action='store_true',
        help='load a file that holds more than weights, '
        'which may run code that is in it',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    ending_of(args.dst)
    arch = arch_config(args.arch)
    loaded = safe_load(args.src, trust=args.trust)
    loaded = loaded if isinstance(loaded, dict) else {}
    meta = loaded.get('meta')
    try:
        conversion = convert(loaded, source=args.source, variant=args.variant)
        check_finite(conversion.state_dict, 'its weights')
        if isinstance(meta, dict) and 'cfg' in meta:
            # or says that it is another
            network = find_network(meta, args.arch)
            if args.arch in STUDENTS:  # whose heads are their testbeds'
                conversion = conversion._replace(neck=network.neck)
        result = fit(conversion, arch)
    except InputError as error:
        raise InputError(f"'{args.src}': {error}") from error
    source = origin(args.src)
    print(report(conversion, result, source))
    if result.faults:
        first = (result.missing + result.unexpected + result.misfit)[0]
        raise InputError(
            f"'{args.src}' is not '{args.arch}': {len(result.missing)} "
            f'missing, {len(result.unexpected)} unexpected, '
            f'{len(result.misfit)} of another shape, e.g. {first}; '
            'nothing was written'
        )
    save_weights(
        args.dst,
        conversion.state_dict,
        meta=dict(
            **source,
            arch=args.arch,
            family=conversion.family,
            backbone=result.backbone,
            neck=result.neck,
            overrides=dict(conversion.overrides),
            widths=widths_of(conversion),
            **kept_normalisation(conversion.meta),
        ),
    )
    print(f'wrote       {args.dst}')


if __name__ == '__main__':
    with one_line_errors():
        main()
