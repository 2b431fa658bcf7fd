# ResNet-34, 20.4 M, as in torchvision.
# The head has a hidden layer of 2048, against the distilling bottleneck.
student = dict(
    backbone=dict(type='ResNet', depth=34, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=512,
        hid_channels=2048,
        out_channels=128))
