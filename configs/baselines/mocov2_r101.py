"""MoCo-v2: ResNet-101, to be a teacher.

Paper, Table 1, the R-101 teacher: 69.1 top-1.
Status: not run here.
    bash tools/dist_train.sh configs/baselines/mocov2_r101.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_mocov2.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/mocov2.py',
    '../_base_/default_runtime.py',
]

model = dict(
    **_base_.testbed,
    backbone=dict(type='ResNet', depth=101, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128))
