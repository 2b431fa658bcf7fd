"""SEED: ResNet-18 from the R-50×2 teacher, with small patches.

Paper, Table 1: 63.0 top-1, 84.9 top-5 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/comparators/seed_r50w2_r18.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_patches.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/seed_patches.py',
    '../_base_/teachers/r50w2.py',
    '../_base_/students/r18.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=_base_.teacher,
    distill=_base_.testbed_distill)
# SEED's head: as wide as the features
model['ssl']['neck']['hid_channels'] = 512
train_cfg = dict(max_epochs=800)
