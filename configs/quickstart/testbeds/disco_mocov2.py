"""DisCo on the MoCo-v2 testbed, for the quickstart's student.

    python tools/train.py configs/quickstart/testbeds/disco_mocov2.py
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
    distill=dict(type='DisCoLoss', loss_weight=32.),
    extra_views=(1, ))
work_dir = 'work_dirs/testbeds_disco_mocov2'
