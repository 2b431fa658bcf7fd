"""The quickstart's student by SimCLR alone: the baseline for disco_simclr.py.

    python tools/train.py configs/quickstart/testbeds/simclr.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist.py',
    '../../_base_/schedules/quickstart.py',
    '../../_base_/testbeds/quickstart_simclr.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(**_base_.testbed, backbone=_base_.student.backbone)
work_dir = 'work_dirs/testbeds_simclr'
