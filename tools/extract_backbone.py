"""Extract the student's backbone from a checkpoint.

mmpretrain and mmdet load the result with
init_cfg=dict(type='Pretrained', checkpoint=OUT, prefix='backbone.').
"""

import argparse

from mmdisco.checkpoints import (
    check_finite,
    momentum_encoder,
    origin,
    read_conversion,
    safe_load,
    save_weights,
    warn_assumed,
)
from mmdisco.checkpoints.config_text import kept_normalisation
from mmdisco.checkpoints.network import find_network
from mmdisco.checkpoints.save import ending_of
from mmdisco.errors import InputError
from mmdisco.launch import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument('out', help='file to write')
    parser.add_argument(
        '--momentum-encoder',
        action='store_true',
        help="extract the momentum encoder's backbone, as DINO evaluates it",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    ending_of(args.out)
    conversion = read_conversion(args.checkpoint)
    weights = conversion.state_dict
    if args.momentum_encoder:
        loaded = safe_load(args.checkpoint)
        try:
            weights = momentum_encoder(loaded.get('state_dict') or {})
            check_finite(weights, 'its momentum encoder')
        except InputError as error:
            raise InputError(f"'{args.checkpoint}': {error}") from error
    backbone = {
        key: value for key, value in weights.items() if key.startswith('backbone.')
    }
    meta = dict(
        origin(args.checkpoint),
        overrides=dict(conversion.overrides),
        **kept_normalisation(conversion.meta),
    )
    try:  # name the network in the file
        network = find_network(conversion.meta, imports=True)
        meta.update(
            arch=network.arch, backbone={**network.backbone, **conversion.overrides}
        )
    except InputError:
        warn_assumed(conversion, f"'{args.checkpoint}'")
    save_weights(args.out, backbone, meta=meta)
    count = sum(v.numel() for v in backbone.values())
    part = 'the momentum encoder' if args.momentum_encoder else conversion.taken
    print(
        f'{args.out}: {len(backbone)} tensors, {count:,} numbers, from '
        f'{meta["source"]} (sha256 {meta["sha256"][:12]}); extracted: {part}'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
