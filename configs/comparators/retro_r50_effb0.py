"""Retro-like: EfficientNet-B0 and the frozen head of the R-50 teacher.

Not in the paper. Status: not run here.
Reported by Retro's authors: 66.9 top-1 with R-50 (abstract).
Set another teacher's file in both model.teacher.checkpoint and
model.ssl.neck.checkpoint.
    bash tools/dist_train.sh configs/comparators/retro_r50_effb0.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_mocov2.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/mocov2.py',
    '../_base_/teachers/r50.py',
    '../_base_/students/effb0.py',
    '../_base_/default_runtime.py',
]

neck = dict(
    type='RetroNeck',
    in_channels=_base_.student.neck.in_channels,
    head=_base_.teacher.neck,
    checkpoint=_base_.teacher.checkpoint,
    url=_base_.teacher.url)
model = dict(
    type='DisCo',
    ssl=dict(
        **_base_.testbed, backbone=_base_.student.backbone, neck=neck),
    teacher=_base_.teacher,
    distill=dict(type='DisCoLoss', loss_weight=32.),
    extra_views=(1, ))
