# ResNet-50 by MoCo-v2, 200 epochs, 67.7 % linear top-1 as published with the file (the
# paper says 67.4). Licence CC BY-NC 4.0.
# The embedding is the 128-d output of its projection head.
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='ResNet', depth=50, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    checkpoint='checkpoints/moco_v2_200ep_pretrain.pth.tar')
teacher_url = ('https://dl.fbaipublicfiles.com/moco/moco_checkpoints/moco_v2_200ep/'
               'moco_v2_200ep_pretrain.pth.tar')
