"""ViT-S/16 by DINO, 800 epochs (as DINO's paper says).

Source: facebookresearch/dino; licence Apache-2.0.
77.0 top-1 (ImageNet linear) as published with the file, as in the paper. The
full checkpoint, from which DINO's own teacher is read: the backbone-only file
has no head.
Embedding: normalised bottleneck of the projection head 384-2048-2048-256,
256-d. The paper does not say which one it distils.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(
        type='VisionTransformer',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        out_type='cls_token'),
    neck=dict(type='DINONeck', in_channels=384),
    checkpoint='checkpoints/dino_deitsmall16_pretrain_full_checkpoint.pth',
    url='https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain/'
        'dino_deitsmall16_pretrain_full_checkpoint.pth')
