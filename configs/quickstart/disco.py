"""The quickstart's student by DisCo.

    python tools/train.py configs/quickstart/disco.py
"""
_base_ = [
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedules/quickstart.py',
    '../_base_/testbeds/quickstart.py',
    '../_base_/students/quickstart.py',
    '../_base_/teachers/quickstart.py',
    '../_base_/quickstart_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=dict(**_base_.teacher, channels_last=True),
    distill=dict(type='DisCoLoss', loss_weight=32.),
    extra_views=(1, ))
