# ResNet-152 by MoCo-v2, 800 epochs, 74.1 % linear top-1 (the paper says 400 epochs, its
# code 800). SEED's README links it.
# The embedding is the 128-d output of its projection head.
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='ResNet', depth=152, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    checkpoint='checkpoints/800-resnet152-moco-v2-checkpoint.pth.tar')
