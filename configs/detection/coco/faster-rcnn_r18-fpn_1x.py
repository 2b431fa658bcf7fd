"""Faster R-CNN with FPN on COCO 2017, with a student's ResNet-18.

Not in the paper: recipe ours, mmdet's 1x. Status: not run here.
    bash tools/dist_train.sh \
        configs/detection/coco/faster-rcnn_r18-fpn_1x.py 8 \
        --student work_dirs/r50_r18/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/faster-rcnn_fpn.py',
    '../../_base_/detection/students/r18.py',
    '../../_base_/detection/coco.py',
    '../../_base_/detection/schedule_1x.py',
    '../../_base_/detection/runtime.py',
]

model = dict(
    backbone=_base_.student.backbone,
    neck=dict(in_channels=_base_.student.channels))
