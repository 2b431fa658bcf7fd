"""ResNet-50 by MoCo-v2, 200 epochs.

Source: facebookresearch/moco; licence CC BY-NC 4.0.
67.7 top-1 (ImageNet linear) as published with the file: the closest public
file, not the paper's (67.4).
Embedding: output of the projection head 2048-2048-128, 128-d.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='ResNet', depth=50, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    checkpoint='checkpoints/moco_v2_200ep_pretrain.pth.tar',
    url='https://dl.fbaipublicfiles.com/moco/moco_checkpoints/moco_v2_200ep/'
        'moco_v2_200ep_pretrain.pth.tar')
