"""SwAV alone: EfficientNet-B0, a baseline for DisCo.

Paper, Table 5: 46.8 top-1 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/baselines/swav_effb0.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_swav.py',
    '../_base_/schedules/swav_200e.py',
    '../_base_/testbeds/swav.py',
    '../_base_/students/effb0.py',
    '../_base_/default_runtime.py',
]

neck = dict(
    **_base_.testbed_neck, in_channels=_base_.student.neck.in_channels)
model = dict(**_base_.testbed, backbone=_base_.student.backbone, neck=neck)
custom_hooks = [*_base_.custom_hooks, *_base_.testbed_hooks]
