# A ResNet-18 an eighth as wide: 0.18 M parameters, 64 features.
student = dict(
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=8,
        base_channels=8,
        zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=64,
        hid_channels=512,
        out_channels=128))
