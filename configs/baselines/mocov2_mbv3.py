"""MoCo-v2 alone: MobileNetV3-Large, a baseline for DisCo.

Paper, Table 1: 36.2 top-1, 62.1 top-5 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/baselines/mocov2_mbv3.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_mocov2.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/mocov2.py',
    '../_base_/students/mbv3.py',
    '../_base_/default_runtime.py',
]

model = dict(**_base_.testbed, **_base_.student)
# the head of MoCo-v2: as wide as the features
model['neck']['hid_channels'] = 1280
