"""The quickstart's student by MoCo-v2 alone: the baseline for disco_mocov2.py.

    python tools/train.py configs/quickstart/testbeds/mocov2.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist.py',
    '../../_base_/schedules/quickstart.py',
    '../../_base_/testbeds/quickstart.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(**_base_.testbed, **_base_.student)
work_dir = 'work_dirs/testbeds_mocov2'
