"""AT and DisCo: ResNet-18 from the R-50 teacher.

Paper, Table 2: 60.2 top-1 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/comparators/at_disco_r50_r18.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_mocov2.py',
    '../_base_/schedules/mocov2_200e.py',
    '../_base_/testbeds/mocov2.py',
    '../_base_/teachers/r50.py',
    '../_base_/students/r18.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=_base_.teacher,
    distill=[
        dict(type='DisCoLoss', loss_weight=32.),
        # our weight: the paper specifies neither weight nor layers
        dict(type='ATLoss', loss_weight=1000.)
    ],
    extra_views=(1, ))
