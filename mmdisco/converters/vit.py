"""Vision transformers of 12 blocks: DINO took timm's names."""

from .naming import Naming

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
