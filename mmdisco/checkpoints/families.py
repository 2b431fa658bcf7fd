"""Families of published checkpoints: where each keeps its tensors."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from mmdisco.checkpoints import heads
from .heads import OURS, Head
from .naming import split_key

_QUEUE = 'queue of keys'


class Family(NamedTuple):
    """A checkpoint family.

    All keys are without wrappers, see :func:`~.wrappers.bare_name`.

    Args:
        name (str): Name for ``--source`` and the report.
        groups (tuple): Entries of the file that may contain the tensors; '' is
            the file itself.
        marks (tuple): Key prefixes that identify the family; one suffices.
        backbone (str): Prefix of the backbone's keys.
        head (str): Prefix of the projection head's keys.
        heads (tuple): Possible heads; empty without a head, or if backbone and
            head already have this project's names.
        left_out (tuple): Prefixes of tensors to leave out, and the reasons.
        refused (tuple): Prefixes that identify unsupported networks, and the
            reasons.
        taken (str): Which of the file's encoders is converted.
        variant (str): Variant that the code of this family uses, for namings
            with several; '' if unknown.
    """

    name: str
    groups: tuple[str, ...]
    marks: tuple[str, ...]
    backbone: str
    head: str = ''
    heads: tuple[Head, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    taken: str = 'the backbone'
    variant: str = ''


# entries with weights, by trainer; 'module' is DeepSpeed's
FILE = ('state_dict', 'model', 'model_state_dict', 'module', '')
# tensors of an algorithm that are neither backbone nor neck
_ALGORITHM = (
    ('encoder_k.', 'momentum encoder'),
    ('ssl.encoder_k.', 'momentum encoder'),
    ('queue', _QUEUE),
    ('ssl.queue', _QUEUE),
    ('', 'not the student'),
)


def _sequential(encoder: str) -> Family:
    """Family of mmselfsup 0.x: an encoder is a sequence of backbone and neck.

    Its algorithms also save both as ``backbone`` and ``neck``.
    """
    return Family(
        'mmselfsup',
        FILE,
        (f'{encoder}.0.',),
        f'{encoder}.0.',
        f'{encoder}.1.',
        left_out=(
            ('backbone.', 'the same backbone once more'),
            ('neck.', 'the same neck once more'),
            ('target_net.', 'momentum encoder'),
            ('momentum_encoder.', 'momentum encoder'),
            *_ALGORITHM,
        ),
        taken=f'{encoder}, the one that learns by gradients',
    )


FAMILIES = (
    # https://github.com/open-mmlab/mmselfsup, branch 0.x: MoCo, BYOL, MoCo-v3,
    # SimSiam
    *map(_sequential, ('encoder_q', 'online_net', 'base_encoder', 'encoder')),
    # https://github.com/Yuting-Gao/DisCo-pytorch, which has timm's networks
    # with timm's settings
    Family(
        'disco',
        FILE,
        ('teacher_encoder_q.',),
        'encoder_q.',
        'encoder_q.',
        heads.MOCO,
        (
            ('encoder_k.', 'momentum encoder'),
            ('teacher_encoder_', 'frozen teacher'),
            ('queue', _QUEUE),
        ),
        taken='encoder_q, the student',
        variant='symmetric',
    ),
    # https://github.com/facebookresearch/moco, versions 1 and 2
    Family(
        'moco',
        FILE,
        ('encoder_q.',),
        'encoder_q.',
        'encoder_q.',
        heads.MOCO,
        (('encoder_k.', 'momentum encoder'), ('queue', _QUEUE)),
        taken='encoder_q, the one that learns by gradients',
    ),
    # https://github.com/facebookresearch/moco-v3
    Family(
        'mocov3',
        FILE,
        ('base_encoder.',),
        'base_encoder.',
        'base_encoder.',
        heads.MOCOV3,
        (('momentum_encoder.', 'momentum encoder'), ('predictor.', 'predictor')),
        (
            (
                'base_encoder.cls_token',
                "MoCo-v3's ViT-S has 12 heads "
                'of attention and fixed positions, the one here has 6: its '
                'weights would load and mean something else',
            ),
        ),
        'base_encoder, the one that learns by gradients',
    ),
    # https://github.com/jacobswan1/SEED, whose copy of EfficientNet-PyTorch
    # (seed/architectures/efficientnet) pads as TensorFlow, though its label
    # is that of PyPI's 0.7.0, which does not
    Family(
        'seed',
        FILE,
        ('student.',),
        'student.',
        'student.',
        heads.MOCO,
        (('teacher.', 'frozen teacher'), ('queue', _QUEUE), ('small_queue', _QUEUE)),
        (
            (
                'student.features.',
                "SEED's MobileNetV3 is another "
                'network: squeeze-and-excitation before the activation, other '
                'widths of it',
            ),
            (
                'student._blocks.22.',
                "SEED's EfficientNet-B1 pads for images "
                'of 240 pixels whatever their size, and it was trained at 224: '
                'there one of its convolutions pads both sides alike and the '
                'others as TensorFlow does, which no setting here does',
            ),
        ),
        taken='the student',
        variant='tf',
    ),
    # https://github.com/facebookresearch/dino; the published model is the
    # momentum encoder, which DINO calls 'teacher'
    Family(
        'dino',
        ('teacher',),
        ('backbone.',),
        'backbone.',
        'head.',
        heads.DINO,
        (('head.last_layer.', "prototypes of DINO's loss"),),
        taken='the momentum encoder, which DINO calls teacher',
    ),
    # https://github.com/facebookresearch/swav, with SeLa-v2 and DeepCluster-v2
    Family(
        'swav',
        FILE,
        ('projection_head.', 'prototypes.'),
        '',
        '',
        heads.SWAV,
        (('prototypes.', 'prototypes'),),
        taken='its only encoder',
    ),
    # this project's algorithms (DisCo has its student in ssl), mmpretrain,
    # mmselfsup 1.x, and converted files
    *(
        Family(
            name,
            FILE,
            (f'{ssl}backbone.',),
            f'{ssl}backbone.',
            f'{ssl}neck.',
            left_out=_ALGORITHM,
            taken=taken,
        )
        for name, ssl, taken in (
            ('mmdisco', 'ssl.', 'the student'),
            ('mmpretrain', '', 'its backbone, with its neck if it has one'),
        )
    ),
    # only a backbone: timm, torchvision, DINO
    Family('backbone', FILE, ('',), ''),
)

SOURCES = ('auto', *dict.fromkeys(family.name for family in FAMILIES))


class HeadMatch(NamedTuple):
    """The projection head of a file."""

    names: dict[str, str]  # key of the file -> key here
    missing: Sequence[str] = ()
    unexpected: Sequence[str] = ()
    neck: dict | None = None


def find_head(family: Family, tensors: dict[str, Tensor]) -> HeadMatch:
    """Find the projection head, if the family has one.

    Args:
        family (Family): Family of the file.
        tensors (dict): All tensors of the file's entry, by key.
    """
    if not family.heads:  # no head, or this project's names
        return _with_project_names(family, tensors)
    for head in family.heads:
        if family.head + head.mark in tensors:
            break
    else:
        return HeadMatch({}, [family.head + family.heads[0].mark])
    rows = dict(head.rows)
    roots = tuple(f'{family.head}{path.split(".")[0]}.' for path in rows)
    names, unexpected = {}, []
    for key in tensors:
        path, rest = split_key(key.removeprefix(family.head), rows)
        if key.startswith(family.head) and path:
            names[key] = f'neck.{rows[path]}{rest}'
        elif key.startswith(roots):  # the head has more layers
            unexpected.append(key)
    weights = [tensors.get(f'{family.head}{path}.weight') for path in rows]
    missing = [
        f'{family.head}{path}.*'
        for path, ours in head.rows
        if not any(n.startswith(f'neck.{ours}.') for n in names.values())
    ]
    if weights[0] is None or missing:
        return HeadMatch(names, missing or [roots[0] + '0.weight'], unexpected)
    return HeadMatch(names, missing, unexpected, head.neck(_widths(weights)))


def _with_project_names(family: Family, tensors: dict[str, Tensor]) -> HeadMatch:
    names = {
        k: 'neck.' + k[len(family.head) :]
        for k in tensors
        if family.head and k.startswith(family.head)
    }
    for head in OURS:
        weights = [tensors.get(f'{family.head}{path}.weight') for path, _ in head.rows]
        layers = {f'neck.{ours}' for _, ours in head.rows}
        if None not in weights and layers == {
            name.rpartition('.')[0] for name in names.values()
        }:
            return HeadMatch(names, neck=head.neck(_widths(weights)))
    return HeadMatch(names)


def _widths(weights: Sequence[Tensor | None]) -> tuple[int, ...]:
    """Widths along the head, from the weights of its linear layers."""
    layers = [w for w in weights if w is not None and w.dim() == 2]
    return (layers[0].shape[1], *(w.shape[0] for w in layers))
