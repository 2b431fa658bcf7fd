"""EfficientNet: seven stages of blocks in timm and torchvision, five here.

mmpretrain counts the blocks of stages 4 and 5, and of 6 and 7, through;
lukemelas' EfficientNet-PyTorch, which SEED uses, counts all of them through.
"""
from typing import Iterator, Tuple

from .naming import Naming

# Stages of timm and torchvision -> where their blocks go on here
_LAYERS = (1, 2, 3, 4, 4, 5, 5)

# Modules of a block: ours -> theirs. The first stage does not expand.
TIMM = {
    'expand_conv.conv': 'conv_pw', 'expand_conv.bn': 'bn1',
    'depthwise_conv.conv': 'conv_dw', 'depthwise_conv.bn': 'bn2',
    'se.conv1.conv': 'se.conv_reduce', 'se.conv2.conv': 'se.conv_expand',
    'linear_conv.conv': 'conv_pwl', 'linear_conv.bn': 'bn3',
}
TIMM_FIRST = {
    'depthwise_conv.conv': 'conv_dw', 'depthwise_conv.bn': 'bn1',
    'se.conv1.conv': 'se.conv_reduce', 'se.conv2.conv': 'se.conv_expand',
    'linear_conv.conv': 'conv_pw', 'linear_conv.bn': 'bn2',
}
_TORCHVISION = {
    'expand_conv.conv': 'block.0.0', 'expand_conv.bn': 'block.0.1',
    'depthwise_conv.conv': 'block.1.0', 'depthwise_conv.bn': 'block.1.1',
    'se.conv1.conv': 'block.2.fc1', 'se.conv2.conv': 'block.2.fc2',
    'linear_conv.conv': 'block.3.0', 'linear_conv.bn': 'block.3.1',
}
_TORCHVISION_FIRST = {
    'depthwise_conv.conv': 'block.0.0', 'depthwise_conv.bn': 'block.0.1',
    'se.conv1.conv': 'block.1.fc1', 'se.conv2.conv': 'block.1.fc2',
    'linear_conv.conv': 'block.2.0', 'linear_conv.bn': 'block.2.1',
}
_LUKEMELAS = {
    'expand_conv.conv': '_expand_conv', 'expand_conv.bn': '_bn0',
    'depthwise_conv.conv': '_depthwise_conv', 'depthwise_conv.bn': '_bn1',
    'se.conv1.conv': '_se_reduce', 'se.conv2.conv': '_se_expand',
    'linear_conv.conv': '_project_conv', 'linear_conv.bn': '_bn2',
}
_LUKEMELAS_FIRST = {
    k: v for k, v in _LUKEMELAS.items() if not k.startswith('expand_conv')}


def _blocks(depths: Tuple[int, ...]) -> Iterator[Tuple[int, int, int, str]]:
    """Stage, block of it, number of the block in all, and our path."""
    places = dict.fromkeys(_LAYERS, 0)
    number = 0
    for stage, (depth, layer) in enumerate(zip(depths, _LAYERS)):
        for block in range(depth):
            yield stage, block, number, f'layers.{layer}.{places[layer]}'
            places[layer] += 1
            number += 1


def _rows(depths: Tuple[int, ...], ends: Tuple[str, str, str, str], where: str,
          first: dict, other: dict) -> tuple:
    """All rows of one library; ``where`` is its path of a block."""
    rows = list(zip(ends, ('layers.0.conv', 'layers.0.bn', 'layers.6.conv',
                           'layers.6.bn')))
    for stage, block, number, ours in _blocks(depths):
        theirs = where.format(stage=stage, feature=stage + 1, block=block,
                              number=number)
        rows += [(f'{theirs}.{t}', f'{ours}.{o}')
                 for o, t in (other if stage else first).items()]
    return tuple(rows)


def efficientnet(*depths: int) -> Tuple[Naming, ...]:
    """Namings of an EfficientNet with so many blocks in its seven stages."""
    return (
        Naming('timm', _rows(
            depths, ('conv_stem', 'bn1', 'conv_head', 'bn2'),
            'blocks.{stage}.{block}', TIMM_FIRST, TIMM),
            left_out={'classifier': 'classifier'}),
        Naming('torchvision', _rows(
            depths, ('features.0.0', 'features.0.1', 'features.8.0',
                     'features.8.1'),
            'features.{feature}.{block}', _TORCHVISION_FIRST, _TORCHVISION),
            left_out={'classifier': 'classifier'}),
        # SEED's copy is version 0.7.0, which pads both sides alike (0.7.1 does
        # as TensorFlow) and has TensorFlow's batch norm
        Naming('EfficientNet-PyTorch', _rows(
            depths, ('_conv_stem', '_bn0', '_conv_head', '_bn1'),
            '_blocks.{number}', _LUKEMELAS_FIRST, _LUKEMELAS),
            left_out={'fc': 'classifier', '_fc': 'classifier'},
            overrides=dict(norm_cfg=dict(type='BN', eps=1e-3, momentum=.01))))


EFFICIENTNET_B0 = efficientnet(1, 2, 2, 3, 3, 4, 1)
EFFICIENTNET_B1 = efficientnet(2, 3, 3, 4, 4, 5, 2)
