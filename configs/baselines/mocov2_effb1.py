"""MoCo-v2 alone: EfficientNet-B1, a baseline for DisCo.

Paper, Table 1: 48.4 top-1, 73.8 top-5 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/baselines/mocov2_effb1.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_mocov2.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/mocov2.py',
    '../_base_/students/effb1.py',
    '../_base_/default_runtime.py',
]

model = dict(**_base_.testbed, **_base_.student)
# the head of MoCo-v2: as wide as the features
model['neck']['hid_channels'] = 1280
