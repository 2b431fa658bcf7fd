"""XCiT of 12 blocks and two of class attention.

The public code (and DINO) stacks query, key and value of class attention in
one layer, timm has three, as mmpretrain does.
"""

from .naming import Naming

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
# the row of a block is for its norms, attention and layer scales
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
