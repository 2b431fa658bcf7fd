"""DisCo with the teacher's frozen head (Retro), on the quickstart's student.

    python tools/train.py configs/quickstart/comparators/retro.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist.py',
    '../../_base_/schedules/quickstart.py',
    '../../_base_/testbeds/quickstart.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/teachers/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, backbone=_base_.student.backbone),
    teacher=dict(**_base_.teacher, channels_last=True),
    distill=dict(type='DisCoLoss', loss_weight=32.),
    extra_views=(1, ))
model['ssl']['neck'] = dict(
    type='RetroNeck',
    in_channels=32,
    head=_base_.teacher.neck,
    checkpoint=_base_.teacher.checkpoint)
work_dir = 'work_dirs/comparators_retro'
