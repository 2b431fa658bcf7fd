"""MobileNetV3-Large: six stages in timm, one row of blocks here and in
torchvision. Blocks with squeeze-and-excitation have one module more."""

from .efficientnet import TF, TIMM, TIMM_FIRST
from .naming import Naming, Variant

_DEPTHS = (1, 2, 3, 4, 2, 3)  # of timm's stages
_WITH_SE = (4, 5, 6, 11, 12, 13, 14, 15)  # blocks, counted from 1


def _modules(number: int) -> dict:
    """Modules of a block: ours -> timm's, as in its EfficientNets."""
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
        # modules of a block are numbered there, in this order
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
