"""DisCo: ViT-tiny from the ViT-S/16 teacher of DINO, on the DINO testbed.

Paper (second version), Table 6: 68.4 top-1 (ImageNet linear). Its recipe is not
published: this one is ours. Status: not run here.
    bash tools/dist_train.sh configs/disco_dino/vits_vitt.py 8
"""
_base_ = [
    '../_base_/datasets/imagenet_dino.py',
    '../_base_/schedules/dino_100e.py',
    '../_base_/testbeds/dino.py',
    '../_base_/teachers/vits.py',
    '../_base_/students/vitt.py',
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
