# ResNet-34 for a detector: the four stages, nothing frozen, BN synchronised.
_base_ = '../../students/r34.py'

student = dict(
    backbone=dict(
        type='mmpretrain.ResNet',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN')),
    channels=[64, 128, 256, 512])
