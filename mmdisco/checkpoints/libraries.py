"""Tensor names of each architecture in other libraries."""

from collections.abc import Mapping

from torch import Tensor

from mmdisco.errors import InputError
from .efficientnet import EFFICIENTNET_B0, EFFICIENTNET_B1, MOBILENET_V3
from .naming import Naming, from_project

# ResNet: mmpretrain, torchvision, timm and MoCo use the same names. All have
# BN eps 1e-5 and the stride in the 3x3 convolution, as do the copies in the
# code of MoCo, SwAV and SEED. Deep or anti-aliased stems and other
# downsampling layers (timm's *d, *s, *t) have other tensors and do not fit.
_SAME = ('conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4')
_ALIKE = (
    "timm's resnetaa* and resnetblur*, which filter before they "
    "subsample, and Caffe's (mmpretrain's style='caffe'), which stride "
    'in the 1x1 convolution,'
)

RESNET = tuple(
    Naming(
        library,
        tuple((name, name) for name in _SAME),
        left_out={'fc': 'classifier'},
        alike=_ALIKE,
    )
    for library in ('torchvision', 'timm')
)


# Vision transformers with 12 blocks: DINO uses timm's names.
_BLOCK = (
    ('norm1', 'ln1'),
    ('attn', 'attn'),
    ('norm2', 'ln2'),
    ('mlp.fc1', 'ffn.layers.0.0'),
    ('mlp.fc2', 'ffn.layers.1'),
)

VIT = (
    Naming(
        'timm',
        (
            ('cls_token', 'cls_token'),
            ('pos_embed', 'pos_embed'),
            ('patch_embed.proj', 'patch_embed.projection'),
            ('norm', 'ln1'),
            *(
                (f'blocks.{i}.{theirs}', f'layers.{i}.{ours}')
                for i in range(12)
                for theirs, ours in _BLOCK
            ),
        ),
        left_out={'head': 'classifier'},
    ),
)


# XCiT with 12 blocks and two class-attention blocks.
_ENDS = (
    ('cls_token', 'cls_token'),
    ('norm', 'norm'),
    *(
        (f'patch_embed.proj.{2 * i}.{j}', f'patch_embed.proj.{i}.{name}')
        for i in range(4)
        for j, name in ((0, 'conv'), (1, 'bn'))
    ),
)
_MLP = (('mlp.fc1', 'ffn.layers.0.0'), ('mlp.fc2', 'ffn.layers.1'))
# the row ('', '') of a block covers its norms, attention and layer scales
_BLOCKS = tuple(
    (f'blocks.{i}{theirs}', f'xca_layers.{i}{ours}')
    for i in range(12)
    for theirs, ours in (
        ('', ''),
        *((f'.{t}', f'.{o}') for t, o in _MLP),
        ('.local_mp.conv1', '.local_mp.conv1.conv'),
        ('.local_mp.bn', '.local_mp.conv1.bn'),
        ('.local_mp.conv2', '.local_mp.conv2.conv'),
    )
)
_CLASS_BLOCKS = tuple(
    (f'cls_attn_blocks.{i}{theirs}', f'ca_layers.{i}{ours}')
    for i in range(2)
    for theirs, ours in (('', ''), *((f'.{t}', f'.{o}') for t, o in _MLP))
)
_STACKED = tuple(
    (
        f'cls_attn_blocks.{i}.attn.qkv',
        tuple(f'ca_layers.{i}.attn.{part}' for part in 'qkv'),
    )
    for i in range(2)
)

XCIT = (
    Naming(
        'facebookresearch/xcit',
        (
            *_ENDS,
            *_BLOCKS,
            *_CLASS_BLOCKS,
            *_STACKED,
            ('pos_embeder.token_projection', 'pos_embed.token_projection.conv'),
        ),
        left_out={'head': 'classifier'},
    ),
    Naming(
        'timm',
        (
            *_ENDS,
            *_BLOCKS,
            *_CLASS_BLOCKS,
            ('pos_embed.token_projection', 'pos_embed.token_projection.conv'),
        ),
        left_out={'head': 'classifier'},
    ),
)


# Namings of each arch
NAMINGS_OF: dict[str, tuple[Naming, ...]] = {
    **dict.fromkeys(
        ('r50', 'r101', 'r152', 'r50w2', 'swavr50', 'selar50', 'dcr50', 'r18', 'r34'),
        RESNET,
    ),
    'effb0': EFFICIENTNET_B0,
    'effb1': EFFICIENTNET_B1,
    'mbv3': MOBILENET_V3,
    **dict.fromkeys(('vits', 'vitt'), VIT),
    **dict.fromkeys(('xcits', 'xcitt'), XCIT),
}
NAMINGS = tuple({id(n): n for of in NAMINGS_OF.values() for n in of}.values())
VARIANTS = ('auto', 'symmetric', 'tf')


def rename_to(
    library: str, arch: str, state_dict: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename a backbone's tensors to another library's names.

    Args:
        library (str): 'timm' or 'torchvision'.
        arch (str): Name of the network, e.g. 'mbv3'.
        state_dict (dict): The backbone's tensors, without a prefix.

    Returns:
        dict: Tensors by the library's keys, without classifier.

    Raises:
        InputError: If the library has no such network.
    """
    for naming in NAMINGS_OF[arch]:
        if naming.library == library:
            return from_project(naming, state_dict)
    known = ', '.join(naming.library for naming in NAMINGS_OF[arch])
    raise InputError(f"{library} has no network like '{arch}', only {known}")


def known_overrides(meta: Mapping, naming: Naming | None) -> Mapping:
    """Backbone settings recorded in a converted file.

    Only settings of the tables are accepted, as a config could run anything.

    Args:
        meta (dict): Metadata of the file.
        naming (Naming, optional): Naming of the backbone; None if unknown.

    Raises:
        InputError: If the file records other settings.
    """
    overrides = meta.get('overrides')
    if not overrides:
        return {}
    networks = [of for of in NAMINGS_OF.values() if naming in of]
    known = [
        variant.overrides
        for of in networks or [NAMINGS]
        for one in of
        for variant in one.variants
    ]
    if overrides not in known:
        raise InputError(
            f'it has unknown settings {overrides}: if it was converted '
            'by an earlier version, convert the published file again'
        )
    return overrides
