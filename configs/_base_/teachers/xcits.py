"""XCiT-S/12, patches of 16, by DINO; epochs not stated.

Source: facebookresearch/dino; licence Apache-2.0.
77.8 top-1 (ImageNet linear) as published with the file, as in the paper. The
full checkpoint, from which DINO's own teacher is read: the backbone-only file
has no head.
Embedding: normalised bottleneck of the projection head 384-2048-2048-256,
256-d. The paper does not say which one it distils.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(
        type='XCiT',
        img_size=224,
        patch_size=16,
        embed_dims=384,
        depth=12,
        num_heads=8,
        layer_scale_init_value=1.,
        tokens_norm=True,
        out_type='cls_token'),
    neck=dict(type='DINONeck', in_channels=384),
    checkpoint='checkpoints/dino_xcit_small_12_p16_pretrain_full_checkpoint.pth',
    url='https://dl.fbaipublicfiles.com/dino/dino_xcit_small_12_p16_pretrain/'
        'dino_xcit_small_12_p16_pretrain_full_checkpoint.pth')
