"""What each family of published checkpoints holds, and where."""
from typing import NamedTuple, Tuple

from . import heads
from .heads import Head

_QUEUE = 'queue of keys'


class Family(NamedTuple):
    """A checkpoint family.

    Args:
        name (str): For ``--source`` and the report.
        groups (tuple): Entries of the file that may hold the tensors; '' is
            the file itself.
        marks (tuple): Prefixes of keys, one of which only it has.
        backbone (str): Prefix of the backbone's keys.
        head (str): Prefix of the projection head's keys.
        heads (tuple): Heads that it may have; none if there is no head, or
            if backbone and head have our names.
        left_out (tuple): Prefixes of what has no place here, and why.
        refused (tuple): Prefixes by which to know what can't be taken, and
            why.
    """
    name: str
    groups: Tuple[str, ...]
    marks: Tuple[str, ...]
    backbone: str
    head: str = ''
    heads: Tuple[Head, ...] = ()
    left_out: Tuple[Tuple[str, str], ...] = ()
    refused: Tuple[Tuple[str, str], ...] = ()


_FILE = ('state_dict', '')
# of an algorithm: all that is neither backbone nor neck
_ALGORITHM = (('encoder_k.', 'momentum encoder'), ('ssl.encoder_k.',
              'momentum encoder'), ('queue', _QUEUE), ('ssl.queue', _QUEUE),
              ('', 'not the student'))

FAMILIES = (
    # https://github.com/Yuting-Gao/DisCo-pytorch
    Family('disco', _FILE, ('module.teacher_encoder_q.', ),
           'module.encoder_q.', 'module.encoder_q.', heads.MOCO,
           (('module.encoder_k.', 'momentum encoder'),
            ('module.teacher_encoder_', 'frozen teacher'),
            ('module.queue', _QUEUE))),
    # https://github.com/facebookresearch/moco, versions 1 and 2
    Family('moco', _FILE, ('module.encoder_q.', ), 'module.encoder_q.',
           'module.encoder_q.', heads.MOCO,
           (('module.encoder_k.', 'momentum encoder'),
            ('module.queue', _QUEUE))),
    # https://github.com/facebookresearch/moco-v3
    Family('mocov3', _FILE, ('module.base_encoder.', ),
           'module.base_encoder.', 'module.base_encoder.', heads.MOCOV3,
           (('module.momentum_encoder.', 'momentum encoder'),
            ('module.predictor.', 'predictor')),
           (('module.base_encoder.cls_token', "MoCo-v3's ViT-S has 12 heads "
             'of attention and fixed positions, the one here has 6: its '
             'weights would load and mean something else'), )),
    # https://github.com/jacobswan1/SEED
    Family('seed', _FILE, ('module.student.', ), 'module.student.',
           'module.student.', heads.MOCO,
           (('module.teacher.', 'frozen teacher'), ('module.queue', _QUEUE),
            ('module.small_queue', _QUEUE)),
           (('module.student.features.', "SEED's MobileNetV3 is another "
             'network: squeeze-and-excitation before the activation, other '
             'widths of it'), )),
    # https://github.com/facebookresearch/dino, of which the momentum encoder,
    # its 'teacher', is the published model; wrapped by DDP if it has BN
    *(Family('dino', ('teacher', ), (f'{wrap}backbone.', ),
             f'{wrap}backbone.', f'{wrap}head.', heads.DINO,
             ((f'{wrap}head.last_layer.', "prototypes of DINO's loss"), ))
      for wrap in ('', 'module.')),
    # https://github.com/facebookresearch/swav, with SeLa-v2 and DeepCluster-v2
    Family('swav', _FILE, ('module.projection_head.', 'module.prototypes.'),
           'module.', 'module.', heads.SWAV,
           (('module.prototypes.', 'prototypes'), )),
    # this project's algorithms, DisCo with its student in ssl; mmpretrain,
    # mmselfsup 1.x, and what is converted
    *(Family(name, _FILE, (f'{wrap}{ssl}backbone.', ), f'{wrap}{ssl}backbone.',
             f'{wrap}{ssl}neck.', left_out=_ALGORITHM)
      for wrap in ('', 'module.')
      for name, ssl in (('mmdisco', 'ssl.'), ('mmpretrain', ''))),
    # timm, torchvision and DINO's backbones alone, wrapped by DDP or not
    Family('backbone', ('state_dict', 'model', ''), ('module.', ), 'module.'),
    Family('backbone', ('state_dict', 'model', ''), ('', ), ''),
)

SOURCES = ('auto', *dict.fromkeys(family.name for family in FAMILIES))
