"""SimReg: EfficientNet-B1 from the R-50 teacher.

Not in the paper; no number of SimReg is known. Status: not run here.
    bash tools/dist_train.sh configs/comparators/simreg_r50_effb1.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_weak_view.py',
    '../_base_/schedules/simreg_130e.py',
    '../_base_/testbeds/simreg.py',
    '../_base_/teachers/r50.py',
    '../_base_/students/effb1.py',
    '../_base_/default_runtime.py',
]

neck = dict(
    **_base_.testbed_neck, in_channels=_base_.student.neck.in_channels)
model = dict(
    type='DisCo',
    ssl=dict(
        **_base_.testbed, backbone=_base_.student.backbone, neck=neck),
    # features of the backbone
    teacher=dict(_base_.teacher, neck=_base_.teacher_neck),
    distill=_base_.testbed_distill)
