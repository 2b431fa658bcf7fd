"""SEED, on the quickstart's student.

    python tools/train.py configs/quickstart/comparators/seed.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist_one_view.py',
    '../../_base_/schedules/quickstart.py',
    '../../_base_/testbeds/quickstart_seed.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/teachers/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=dict(**_base_.teacher, channels_last=True),
    distill=_base_.testbed_distill)
# SEED's head: as wide as the features
model['ssl']['neck']['hid_channels'] = 32
work_dir = 'work_dirs/comparators_seed'
