"""The quickstart's student by DINO alone: the baseline for disco_dino.py.

    python tools/train.py configs/quickstart/testbeds/dino.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist_multicrop.py',
    '../../_base_/schedules/quickstart_adamw.py',
    '../../_base_/testbeds/quickstart_dino.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(**_base_.testbed, backbone=_base_.student.backbone)
custom_hooks = [*_base_.custom_hooks, *_base_.testbed_hooks]
work_dir = 'work_dirs/testbeds_dino'
