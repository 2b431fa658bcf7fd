"""The quickstart's teacher: MoCo-v2 of a ResNet-18 half as wide.

    python tools/train.py configs/quickstart/teacher.py
"""
_base_ = [
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedules/quickstart.py',
    '../_base_/testbeds/quickstart.py',
    '../_base_/teachers/quickstart.py',
    '../_base_/quickstart_runtime.py',
]

model = dict(
    **_base_.testbed,
    backbone=_base_.teacher.backbone,
    neck=_base_.teacher.neck)
