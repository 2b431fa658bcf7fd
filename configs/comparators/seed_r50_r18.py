"""SEED: ResNet-18 from the R-50 teacher.

Paper, Table 1: 57.6 top-1, 81.8 top-5 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/comparators/seed_r50_r18.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_one_view.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/seed.py',
    '../_base_/teachers/r50.py',
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
