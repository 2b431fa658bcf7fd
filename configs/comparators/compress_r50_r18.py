"""CompRess (2q): ResNet-18 from the R-50 teacher.

Not in the paper's tables: it calls the comparison unfair. Status: not run here.
Reported by CompRess' authors: 61.7 top-1 with a MoCo-v2 R-50 (README).
    bash tools/dist_train.sh configs/comparators/compress_r50_r18.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_compress.py',
    '../_base_/schedules/compress_130e.py',
    '../_base_/testbeds/compress.py',
    '../_base_/teachers/r50.py',
    '../_base_/students/r18.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, backbone=_base_.student.backbone),
    # features of the backbone
    teacher=dict(_base_.teacher, neck=_base_.teacher_neck),
    distill=dict(
        **_base_.testbed_distill,
        student_dim=_base_.student.neck.in_channels))
