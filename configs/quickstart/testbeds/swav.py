"""The quickstart's student by SwAV alone: the baseline for disco_swav.py.

    python tools/train.py configs/quickstart/testbeds/swav.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist_multicrop.py',
    '../../_base_/schedules/quickstart.py',
    '../../_base_/testbeds/quickstart_swav.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(**_base_.testbed, backbone=_base_.student.backbone)
custom_hooks = [*_base_.custom_hooks, *_base_.testbed_hooks]
work_dir = 'work_dirs/testbeds_swav'
