# A ResNet-18 half as wide: 2.8 M parameters, by configs/quickstart/teacher.py.
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=32,
        base_channels=32,
        zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=256,
        hid_channels=512,
        out_channels=128),
    checkpoint='demo/teacher/quickstart_r18w32.pth')
