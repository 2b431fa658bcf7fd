"""The quickstart's teacher: MoCo-v2 of a ResNet-18 half as wide.

On all 60 000 training images, from Debian's package dataset-fashion-mnist; for
another folder of the IDX files add --cfg-options data_root=FOLDER.
    python tools/train.py configs/quickstart/teacher.py
"""
_base_ = [
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedules/quickstart.py',
    '../_base_/testbeds/quickstart.py',
    '../_base_/teachers/quickstart.py',
    '../_base_/quickstart_runtime.py',
]

data_root = '/usr/share/datasets/fashion-mnist'
train_dataloader = dict(dataset=dict(data_root=data_root))
model = dict(
    **_base_.testbed,
    backbone=_base_.teacher.backbone,
    neck=_base_.teacher.neck)
optim_wrapper = dict(optimizer=dict(lr=.03))
train_cfg = dict(max_epochs=4)
