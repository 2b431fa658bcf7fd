"""Faster R-CNN with FPN on VOC 07+12, with a student's EfficientNet-B0.

Not in the paper: recipe ours, mmdet's 1x. Status: not run here.
    bash tools/dist_train.sh \
        configs/detection/voc/faster-rcnn_effb0-fpn_1x.py 8 \
        --student work_dirs/r50_effb0/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/faster-rcnn_fpn.py',
    '../../_base_/detection/students/effb0.py',
    '../../_base_/detection/voc0712.py',
    '../../_base_/detection/voc_1x.py',
    '../../_base_/detection/runtime.py',
]

model = dict(
    backbone=_base_.student.backbone,
    neck=dict(in_channels=_base_.student.channels),
    roi_head=dict(bbox_head=dict(num_classes=20)))
custom_hooks = [
    dict(_base_.student_hook, unused=_base_.student.unused),
    *_base_.custom_hooks[1:],
]
