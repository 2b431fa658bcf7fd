"""RetinaNet with FPN on COCO 2017, with a student's ResNet-34.

Not in the paper: recipe ours, mmdet's 1x. Status: not run here.
    bash tools/dist_train.sh configs/detection/coco/retinanet_r34-fpn_1x.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/retinanet_fpn.py',
    '../../_base_/detection/students/r34.py',
    '../../_base_/detection/coco.py',
    '../../_base_/detection/schedule_1x.py',
    '../../_base_/detection/runtime.py',
]

model = dict(
    backbone=_base_.student.backbone,
    neck=dict(in_channels=_base_.student.channels))
optim_wrapper = dict(optimizer=dict(lr=.01))
