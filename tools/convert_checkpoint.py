"""Convert a published checkpoint to this project's names, and report failures.

The result contains 'backbone.*' and, if the file has a projection head,
'neck.*'. FrozenTeacher loads it directly; mmpretrain and mmdet load it with
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
        '--arch', required=True, metavar='ARCH', help=f'network: {", ".join(ARCHS)}'
    )
    parser.add_argument(
        '--source',
        default='auto',
        choices=SOURCES,
        help='family of the file; default: detected by its keys',
    )
    parser.add_argument(
        '--variant',
        default='auto',
        choices=VARIANTS,
        help='choice between networks with the same tensor names: TensorFlow '
        "padding ('tf') or symmetric; default: set by the family, or the one "
        'named as assumed in the report',
    )
    parser.add_argument(
        '--trust',
        action='store_true',
        help='load a file that contains more than weights; this may run code '
        'in the file',
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
            # raises if the file names another network
            network = find_network(meta, args.arch)
            if args.arch in STUDENTS:  # their heads depend on the testbed
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
            'no file was written'
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
