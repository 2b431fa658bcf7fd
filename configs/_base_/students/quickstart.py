# A ResNet-18 a sixteenth as wide: 45 k parameters, 32 features.
student = dict(
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=4,
        base_channels=4,
        zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=32,
        hid_channels=64,
        out_channels=128))
