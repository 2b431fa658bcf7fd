# MobileNetV3-Large, 4.2 M, with its 1280-wide layer after the pooling.
# The head has a hidden layer of 2048, against the distilling bottleneck.
student = dict(
    backbone=dict(type='MobileNetV3Pooled'),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=1280,
        hid_channels=2048,
        out_channels=128))
