"""Where the student of each checkpoint layout is, as tables.

A table maps key prefixes of the file to ours, the first match counts; keys
that match none, or None, are left out on purpose (queue, momentum encoder,
prototypes).
"""
from typing import Dict, NamedTuple, Optional, Tuple


class Layout(NamedTuple):
    """A checkpoint family: how to tell it, and where its parts are."""
    name: str
    mark: str  # a prefix that only this family has
    prefixes: Tuple[Tuple[str, Optional[str]], ...]  # (theirs, ours)


LAYOUTS = (
    # https://github.com/facebookresearch/moco: encoder_q is the student
    Layout('moco', 'module.encoder_q.', (
        ('module.encoder_q.fc.', 'neck.mlp.'),
        ('module.encoder_q.', 'backbone.'),
    )),
    # https://github.com/facebookresearch/swav, SeLa-v2 and DeepCluster-v2
    Layout('swav', 'module.projection_head.', (
        ('module.projection_head.0.', 'neck.fc0.'),
        ('module.projection_head.1.', 'neck.bn0.'),
        ('module.projection_head.3.', 'neck.fc1.'),
        ('module.prototypes.', None),
        ('module.', 'backbone.'),
    )),
    # this project's algorithms: DisCo holds its student in ssl
    Layout('mmdisco', 'ssl.backbone.', (
        ('ssl.backbone.', 'backbone.'),
        ('ssl.neck.', 'neck.'),
    )),
    # mmpretrain's algorithms, extracted backbones, converted files
    Layout('mmpretrain', 'backbone.', (
        ('backbone.', 'backbone.'),
        ('neck.', 'neck.'),
    )),
)


def to_ours(state_dict: Dict) -> Dict:
    """Rename the student's keys to ``backbone.*`` and ``neck.*``.

    Args:
        state_dict (dict): Tensors by key, of a layout in :data:`LAYOUTS`.

    Returns:
        dict: The student's tensors; empty if the layout is unknown.
    """
    for layout in LAYOUTS:
        if any(key.startswith(layout.mark) for key in state_dict):
            break
    renamed = {}
    for key, value in state_dict.items():
        for theirs, ours in layout.prefixes:
            if key.startswith(theirs):
                if ours is not None:
                    renamed[ours + key[len(theirs):]] = value
                break
    return renamed
