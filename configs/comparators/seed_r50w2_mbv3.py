"""SEED: MobileNetV3-Large from the R-50×2 teacher, with small patches.

Paper, Table 1: 68.2 top-1, 88.2 top-5 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/comparators/seed_r50w2_mbv3.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_patches.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/seed_patches.py',
    '../_base_/teachers/r50w2.py',
    '../_base_/students/mbv3.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=_base_.teacher,
    distill=_base_.testbed_distill)
# SEED's head: as wide as the features
model['ssl']['neck']['hid_channels'] = 1280
train_cfg = dict(max_epochs=800)
