# ResNet-101 by MoCo-v2, 200 epochs. Closest public file, not the paper's: SEED's, 70.3 %
# linear top-1 (the paper's has 69.1). SEED's README links it.
# The embedding is the 128-d output of its projection head.
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='ResNet', depth=101, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    checkpoint='checkpoints/res101-moco-v2-checkpoint_0199.pth.tar')
