# EfficientNet-B0 for a detector: up to its 320-wide stage, nothing frozen, BN
# synchronised.
_base_ = '../../students/effb0.py'

student = dict(
    backbone=dict(
        type='TrimmedEfficientNet',
        out_indices=(2, 3, 4, 5),
        norm_cfg=dict(type='SyncBN')),
    channels=[24, 40, 112, 320],
    unused=['layers.6.*'])
