"""BYOL alone: ResNet-18, a baseline for DisCo.

Not in the paper: recipe ours, mmpretrain's of a ResNet-50.
Status: not run here.
    bash tools/dist_train.sh configs/baselines/byol_r18.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_byol.py',
    '../_base_/schedules/lars_200e.py',
    '../_base_/testbeds/byol.py',
    '../_base_/students/r18.py',
    '../_base_/default_runtime.py',
]

neck = dict(
    **_base_.testbed_neck, in_channels=_base_.student.neck.in_channels)
model = dict(**_base_.testbed, backbone=_base_.student.backbone, neck=neck)
