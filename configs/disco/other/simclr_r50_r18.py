"""DisCo: ResNet-18 from the R-50 teacher, on the SimCLR testbed.

Not in the paper: recipe ours, mmpretrain's of a ResNet-50.
Status: not run here.
    bash tools/dist_train.sh configs/disco/other/simclr_r50_r18.py 8
"""
_base_ = [
    '../../_base_/datasets/imagenet_simclr.py',
    '../../_base_/schedules/lars_200e.py',
    '../../_base_/testbeds/simclr.py',
    '../../_base_/teachers/r50.py',
    '../../_base_/students/r18.py',
    '../../_base_/default_runtime.py',
]

neck = dict(
    **_base_.testbed_neck, in_channels=_base_.student.neck.in_channels)
model = dict(
    type='DisCo',
    ssl=dict(
        **_base_.testbed, backbone=_base_.student.backbone, neck=neck),
    teacher=_base_.teacher,
    distill=dict(type='DisCoLoss', loss_weight=32.))
