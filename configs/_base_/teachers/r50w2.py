"""ResNet-50, twice as wide, by SwAV, 400 epochs.

Source: facebookresearch/swav; licence CC BY-NC 4.0.
77.3 top-1 (ImageNet linear) as published with the file, as in the paper, which
says 800 epochs.
Embedding: output of the projection head 4096-8192-128 with BN, 128-d, before
the prototypes.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(
        type='ResNet',
        depth=50,
        stem_channels=128,
        base_channels=128,
        zero_init_residual=False),
    neck=dict(
        type='NonLinearNeck',
        in_channels=4096,
        hid_channels=8192,
        out_channels=128,
        with_bias=True,
        with_last_bias=True,
        with_last_bn=False,
        norm_cfg=dict(type='BN1d')),
    checkpoint='checkpoints/swav_RN50w2_400ep_pretrain.pth.tar',
    url='https://dl.fbaipublicfiles.com/deepcluster/'
        'swav_RN50w2_400ep_pretrain.pth.tar')
