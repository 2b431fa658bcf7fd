"""MoCo-v2 alone: EfficientNet-B0, a baseline for DisCo.

Paper, Table 1: 46.8 top-1, 72.2 top-5 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/baselines/mocov2_effb0.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_mocov2.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/mocov2.py',
    '../_base_/students/effb0.py',
    '../_base_/default_runtime.py',
]

model = dict(**_base_.testbed, **_base_.student)
# the head of MoCo-v2: as wide as the features
model['neck']['hid_channels'] = 1280
