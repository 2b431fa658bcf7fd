"""DisCo: XCiT-T12/16 from the XCiT-S/12 teacher of DINO, on the DINO testbed.

Paper (second version), Table 6: 71.1 top-1 (ImageNet linear). Its recipe is not
published: this one is ours. Status: not run here.
    bash tools/dist_train.sh configs/disco_dino/xcits_xcitt.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_dino.py',
    '../_base_/schedules/dino_100e.py',
    '../_base_/testbeds/dino.py',
    '../_base_/teachers/xcits.py',
    '../_base_/students/xcitt.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=_base_.teacher,
    # summed over ten crops equal to MoCo-v2's 32 over two views
    distill=dict(type='DisCoLoss', loss_weight=32 * 2 / 10))
model['ssl']['backbone']['drop_path_rate'] = .1
custom_hooks = [*_base_.custom_hooks, *_base_.testbed_hooks]
