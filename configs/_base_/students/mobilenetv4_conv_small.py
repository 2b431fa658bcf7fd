# MobileNetV4-Conv-S of timm, 2.5 M, as users of timm get it by num_classes=0:
# with the layer to 1280 behind its last map. One linear layer leads to the
# teacher's feature, 384 for ViT-S.
student = dict(
    backbone=dict(
        type='TimmNetwork', name='mobilenetv4_conv_small', pooled_only=True),
    neck=dict(
        type='LinearNeck',
        in_channels=1280,
        out_channels=384,
        norm_cfg=None,
        act_cfg=None))
