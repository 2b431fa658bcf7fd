"""CompRess (1q): MobileNetV3-Large from the R-50 teacher.

Not in the paper's tables: it calls the comparison unfair. Status: not run here.
    bash tools/dist_train.sh configs/comparators/compress_1q_r50_mbv3.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_compress.py',
    '../_base_/schedules/compress_130e.py',
    '../_base_/testbeds/compress_1q.py',
    '../_base_/teachers/r50.py',
    '../_base_/students/mbv3.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, backbone=_base_.student.backbone),
    # features of the backbone
    teacher=dict(_base_.teacher, neck=_base_.teacher_neck),
    distill=dict(
        **_base_.testbed_distill,
        adapter=dict(
            in_features=_base_.student.neck.in_channels,
            out_features=2048)))
