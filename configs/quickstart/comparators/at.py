"""AT added to MoCo-v2's loss, on the quickstart's student.

    python tools/train.py configs/quickstart/comparators/at.py
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
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=dict(**_base_.teacher, channels_last=True),
    distill=dict(type='ATLoss', loss_weight=1000.))
work_dir = 'work_dirs/comparators_at'
