"""ResNet-50 by SwAV, 800 epochs.

Source: facebookresearch/swav; licence CC BY-NC 4.0.
75.3 top-1 (ImageNet linear) as published with the file, as in the paper.
Embedding: output of the projection head 2048-2048-128 with BN, 128-d, before
the prototypes.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='ResNet', depth=50, zero_init_residual=False),
    neck=dict(
        type='NonLinearNeck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        with_bias=True,
        with_last_bias=True,
        with_last_bn=False,
        norm_cfg=dict(type='BN1d')),
    checkpoint='checkpoints/swav_800ep_pretrain.pth.tar',
    url='https://dl.fbaipublicfiles.com/deepcluster/'
        'swav_800ep_pretrain.pth.tar')
