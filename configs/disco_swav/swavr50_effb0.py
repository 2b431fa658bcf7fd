"""DisCo: EfficientNet-B0 from the R-50 teacher of SwAV, on the SwAV testbed.

Paper, Table 5: 62.4 top-1 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/disco_swav/swavr50_effb0.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_swav.py',
    '../_base_/schedules/swav_200e.py',
    '../_base_/testbeds/swav.py',
    '../_base_/teachers/swavr50.py',
    '../_base_/students/effb0.py',
    '../_base_/default_runtime.py',
]

neck = dict(
    **_base_.testbed_neck, in_channels=_base_.student.neck.in_channels)
model = dict(
    type='DisCo',
    ssl=dict(
        **_base_.testbed, backbone=_base_.student.backbone, neck=neck),
    teacher=_base_.teacher,
    # as released: teacher not normalised, mean over crops and width, halved
    distill=dict(
        type='DisCoLoss', loss_weight=1 / (2 * 8 * 128), norm_teacher=False))
custom_hooks = [*_base_.custom_hooks, *_base_.testbed_hooks]
# configs/disco has a file of the same name
work_dir = 'work_dirs/swav_swavr50_effb0'
