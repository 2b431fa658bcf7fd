# EfficientNet-B0, 4.0 M. timm's batch norm and symmetric padding, as in the
# paper; dropout and drop path are off.
# The head has a hidden layer of 2048, against the distilling bottleneck.
student = dict(
    backbone=dict(
        type='EfficientNet',
        arch='b0',
        conv_cfg=None,
        norm_cfg=dict(type='BN', eps=1e-5)),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=1280,
        hid_channels=2048,
        out_channels=128))
