"""BINGO: EfficientNet-B0 from the R-50 teacher.

Not reported. Status: not run here.
Make the bags once per teacher:
    python tools/make_bags.py configs/comparators/bingo_r50_effb0.py \
        --out bags/imagenet_r50.npy
    bash tools/dist_train.sh configs/comparators/bingo_r50_effb0.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_bags.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/bingo.py',
    '../_base_/teachers/r50.py',
    '../_base_/students/effb0.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=_base_.teacher,
    distill=_base_.testbed_distill)
