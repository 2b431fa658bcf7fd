"""DisCo on the DINO testbed, for the quickstart's student.

    python tools/train.py configs/quickstart/testbeds/disco_dino.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist_multicrop.py',
    '../../_base_/schedules/quickstart_adamw.py',
    '../../_base_/testbeds/quickstart_dino.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/teachers/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, backbone=_base_.student.backbone),
    teacher=dict(**_base_.teacher, channels_last=True),
    distill=dict(type='DisCoLoss', loss_weight=32.),
    # on 16-pixel crops this teacher is near chance
    distill_crops='global')
custom_hooks = [*_base_.custom_hooks, *_base_.testbed_hooks]
work_dir = 'work_dirs/testbeds_disco_dino'
