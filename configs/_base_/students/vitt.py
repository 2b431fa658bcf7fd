# ViT-tiny/16 (DeiT-Ti), 5.5 M, with DINO's head: the class token is embedded.
# Initial values: attention as in DINO, MLPs as in mmpretrain (not configurable).
# The testbed adds drop path, to the student only.
student = dict(
    backbone=dict(
        type='VisionTransformer',
        arch='deit-tiny',
        img_size=224,
        patch_size=16,
        out_type='cls_token',
        init_cfg=[dict(type='TruncNormal', layer='Linear', std=.02, bias=0.)]),
    neck=dict(type='DINONeck', in_channels=192))
