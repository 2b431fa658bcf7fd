"""Tensor names of EfficientNet and MobileNetV3-Large.

EfficientNet has seven stages of blocks in timm and torchvision. mmpretrain
merges stages 4 and 5, and stages 6 and 7; lukemelas' EfficientNet-PyTorch,
which SEED uses, numbers all blocks consecutively.
"""

from collections.abc import Iterator

from .naming import OURS, Naming, Variant

# mmpretrain's layer of each stage of timm and torchvision
_LAYERS = (1, 2, 3, 4, 4, 5, 5)

# Modules of a block: mmpretrain -> library. The first stage does not expand.
TIMM = {
    'expand_conv.conv': 'conv_pw',
    'expand_conv.bn': 'bn1',
    'depthwise_conv.conv': 'conv_dw',
    'depthwise_conv.bn': 'bn2',
    'se.conv1.conv': 'se.conv_reduce',
    'se.conv2.conv': 'se.conv_expand',
    'linear_conv.conv': 'conv_pwl',
    'linear_conv.bn': 'bn3',
}
TIMM_FIRST = {
    'depthwise_conv.conv': 'conv_dw',
    'depthwise_conv.bn': 'bn1',
    'se.conv1.conv': 'se.conv_reduce',
    'se.conv2.conv': 'se.conv_expand',
    'linear_conv.conv': 'conv_pw',
    'linear_conv.bn': 'bn2',
}
_TORCHVISION = {
    'expand_conv.conv': 'block.0.0',
    'expand_conv.bn': 'block.0.1',
    'depthwise_conv.conv': 'block.1.0',
    'depthwise_conv.bn': 'block.1.1',
    'se.conv1.conv': 'block.2.fc1',
    'se.conv2.conv': 'block.2.fc2',
    'linear_conv.conv': 'block.3.0',
    'linear_conv.bn': 'block.3.1',
}
_TORCHVISION_FIRST = {
    'depthwise_conv.conv': 'block.0.0',
    'depthwise_conv.bn': 'block.0.1',
    'se.conv1.conv': 'block.1.fc1',
    'se.conv2.conv': 'block.1.fc2',
    'linear_conv.conv': 'block.2.0',
    'linear_conv.bn': 'block.2.1',
}
LUKEMELAS = {
    'expand_conv.conv': '_expand_conv',
    'expand_conv.bn': '_bn0',
    'depthwise_conv.conv': '_depthwise_conv',
    'depthwise_conv.bn': '_bn1',
    'se.conv1.conv': '_se_reduce',
    'se.conv2.conv': '_se_expand',
    'linear_conv.conv': '_project_conv',
    'linear_conv.bn': '_bn2',
}
LUKEMELAS_FIRST = {
    k: v for k, v in LUKEMELAS.items() if not k.startswith('expand_conv')
}


def _blocks(depths: tuple[int, ...]) -> Iterator[tuple[int, int, int, str]]:
    """Yield stage, block in the stage, overall number, and mmpretrain's path."""
    places = dict.fromkeys(_LAYERS, 0)
    number = 0
    for stage, (depth, layer) in enumerate(zip(depths, _LAYERS)):
        for block in range(depth):
            yield stage, block, number, f'layers.{layer}.{places[layer]}'
            places[layer] += 1
            number += 1


def _rows(
    depths: tuple[int, ...],
    ends: tuple[str, str, str, str],
    where: str,
    first: dict,
    other: dict,
) -> tuple:
    """Rows of one library; ``where`` is its path of a block."""
    rows = list(
        zip(ends, ('layers.0.conv', 'layers.0.bn', 'layers.6.conv', 'layers.6.bn'))
    )
    for stage, block, number, ours in _blocks(depths):
        theirs = where.format(
            stage=stage, feature=stage + 1, block=block, number=number
        )
        rows += [
            (f'{theirs}.{t}', f'{ours}.{o}')
            for o, t in (other if stage else first).items()
        ]
    return tuple(rows)


# In timm/models/_efficientnet_builder.py BN_EPS_TF_DEFAULT and pad_type 'same'
# are those of 'tf_*'; in EfficientNet-PyTorch's utils.py batch_norm_epsilon is
# 1e-3 and get_same_padding_conv2d TensorFlow's, but for PyPI's 0.7.0 (#235).
_TF_PADDING = dict(type='Conv2dAdaptivePadding')
_TF_BN = dict(type='BN', eps=1e-3, momentum=0.01)
TF = dict(conv_cfg=_TF_PADDING, norm_cfg=_TF_BN)
_VARIANTS = (
    Variant(
        'symmetric', "timm's efficientnet_* (BN eps 1e-5, padding alike on both sides)"
    ),
    Variant('tf', "timm's tf_efficientnet_* (BN eps 1e-3, padding as TensorFlow)", TF),
)
_VARIANTS_OF_LUKEMELAS = (
    Variant(
        'tf', 'EfficientNet-PyTorch but 0.7.0 (BN eps 1e-3, padding as TensorFlow)', TF
    ),
    Variant(
        'symmetric',
        'EfficientNet-PyTorch 0.7.0 of PyPI (BN eps 1e-3, padding alike on both sides)',
        dict(conv_cfg=None, norm_cfg=_TF_BN),
    ),
)
_OUR_VARIANTS = (
    Variant('symmetric', "this project's (BN eps 1e-5, padding alike on both sides)"),
    Variant('tf', "mmpretrain's own (BN eps 1e-3, padding as TensorFlow)", TF),
)


def efficientnet(*depths: int) -> tuple[Naming, ...]:
    """Namings of an EfficientNet, from the depths of its seven stages."""
    timm, torchvision, lukemelas = (
        _rows(
            depths,
            ('conv_stem', 'bn1', 'conv_head', 'bn2'),
            'blocks.{stage}.{block}',
            TIMM_FIRST,
            TIMM,
        ),
        _rows(
            depths,
            ('features.0.0', 'features.0.1', 'features.8.0', 'features.8.1'),
            'features.{feature}.{block}',
            _TORCHVISION_FIRST,
            _TORCHVISION,
        ),
        _rows(
            depths,
            ('_conv_stem', '_bn0', '_conv_head', '_bn1'),
            '_blocks.{number}',
            LUKEMELAS_FIRST,
            LUKEMELAS,
        ),
    )
    return (
        Naming(
            'timm',
            timm,
            left_out={'classifier': 'classifier'},
            variants=_VARIANTS,
            alike="timm's efficientnet_blur_b0",
        ),
        # torchvision/models/efficientnet.py: eps 1e-3 from B5 on
        Naming('torchvision', torchvision, left_out={'classifier': 'classifier'}),
        Naming(
            'EfficientNet-PyTorch',
            lukemelas,
            left_out={'fc': 'classifier', '_fc': 'classifier'},
            variants=_VARIANTS_OF_LUKEMELAS,
        ),
        Naming(OURS, tuple((ours, ours) for _, ours in timm), variants=_OUR_VARIANTS),
    )


EFFICIENTNET_B0 = efficientnet(1, 2, 2, 3, 3, 4, 1)
EFFICIENTNET_B1 = efficientnet(2, 3, 3, 4, 4, 5, 2)


# MobileNetV3-Large: six stages in timm, one sequence of blocks in mmpretrain
# and torchvision. Blocks with squeeze-and-excitation have one more module.
_DEPTHS = (1, 2, 3, 4, 2, 3)  # of timm's stages
_WITH_SE = (4, 5, 6, 11, 12, 13, 14, 15)  # blocks, counted from 1


def _modules(number: int) -> dict:
    """Modules of a block: mmpretrain -> timm, as in EfficientNet."""
    table = TIMM_FIRST if number == 1 else TIMM
    return {
        ours: timm
        for ours, timm in table.items()
        if number in _WITH_SE or not ours.startswith('se.')
    }


def _timm() -> tuple:
    rows = [
        ('conv_stem', 'layer0.conv'),
        ('bn1', 'layer0.bn'),
        ('blocks.6.0.conv', 'layer16.conv'),
        ('blocks.6.0.bn1', 'layer16.bn'),
        ('conv_head', 'layer17.1'),
    ]
    places = [
        f'blocks.{stage}.{block}'
        for stage, depth in enumerate(_DEPTHS)
        for block in range(depth)
    ]
    for number, theirs in enumerate(places, 1):
        rows += [
            (f'{theirs}.{t}', f'layer{number}.{o}') for o, t in _modules(number).items()
        ]
    return tuple(rows)


def _torchvision() -> tuple:
    rows = [
        ('features.0.0', 'layer0.conv'),
        ('features.0.1', 'layer0.bn'),
        ('features.16.0', 'layer16.conv'),
        ('features.16.1', 'layer16.bn'),
        ('classifier.0', 'layer17.1'),
    ]
    for number in range(1, 16):
        # torchvision numbers the modules of a block in this order
        stages = list(dict.fromkeys(ours.split('.')[0] for ours in _modules(number)))
        for ours in _modules(number):
            stage, module = ours.split('.')[:2]
            leaf = dict(conv='0', bn='1', conv1='fc1', conv2='fc2')[module]
            rows.append(
                (
                    f'features.{number}.block.{stages.index(stage)}.{leaf}',
                    f'layer{number}.{ours}',
                )
            )
    return tuple(rows)


# timm/models/mobilenetv3.py: bn_eps of BN_EPS_TF_DEFAULT and pad_type 'same'
# are those of 'tf_*'; torchvision/models/mobilenetv3.py: eps 1e-3.
MOBILENET_V3 = (
    Naming(
        'timm',
        _timm(),
        left_out={'classifier': 'classifier'},
        variants=(
            Variant(
                'symmetric',
                "timm's mobilenetv3_large_100 (BN eps 1e-5, "
                'padding alike on both sides)',
            ),
            Variant(
                'tf',
                "timm's tf_mobilenetv3_large_100 (BN eps 1e-3, padding as TensorFlow)",
                TF,
            ),
        ),
    ),
    Naming(
        'torchvision',
        _torchvision(),
        left_out={'classifier.3': 'classifier'},
        linear=('classifier.0',),
        variants=(Variant('', 'torchvision', dict(norm_cfg=TF['norm_cfg'])),),
    ),
)
