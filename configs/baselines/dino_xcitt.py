"""DINO alone: XCiT-T12/16, a baseline for DisCo.

Paper (second version), Table 6: 67 top-1 (ImageNet linear). Its recipe is not
published: this one is ours. Status: not run here.
    bash tools/dist_train.sh configs/baselines/dino_xcitt.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_dino.py',
    '../_base_/schedules/dino_100e.py',
    '../_base_/testbeds/dino.py',
    '../_base_/students/xcitt.py',
    '../_base_/default_runtime.py',
]

model = dict(**_base_.testbed, **_base_.student)
model['backbone']['drop_path_rate'] = .1
custom_hooks = [*_base_.custom_hooks, *_base_.testbed_hooks]
