# MobileNetV3-Large for a detector: up to its 960-wide layer, nothing frozen,
# BN synchronised. The layer after the pooling is not used.
student = dict(
    backbone=dict(
        type='TrimmedMobileNetV3',
        out_indices=(3, 6, 12, 16),
        norm_cfg=dict(type='SyncBN', eps=1e-5, momentum=.1)),
    channels=[24, 40, 112, 960],
    unused=['layer17.*'])
