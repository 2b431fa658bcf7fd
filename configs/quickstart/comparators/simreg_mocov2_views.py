"""SimReg with MoCo-v2's augmentation, on the quickstart's student.

    python tools/train.py configs/quickstart/comparators/simreg_mocov2_views.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist_one_view.py',
    '../../_base_/schedules/quickstart.py',
    '../../_base_/testbeds/quickstart_simreg.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/teachers/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, backbone=_base_.student.backbone),
    teacher=dict(**_base_.teacher, channels_last=True),
    distill=_base_.testbed_distill)
# the feature of the backbone, without a head
model['teacher']['neck'] = dict(type='GlobalAveragePooling')
work_dir = 'work_dirs/comparators_simreg_mocov2_views'
