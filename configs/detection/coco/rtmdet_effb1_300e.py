"""RTMDet-tiny on COCO 2017, a student's EfficientNet-B1 in place of CSPNeXt.

Not in the paper: recipe ours, mmdet's RTMDet-tiny. Status: not run here.
    bash tools/dist_train.sh configs/detection/coco/rtmdet_effb1_300e.py 8 \
        --student work_dirs/r50_effb1/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/rtmdet_coco_300e.py',
    '../../_base_/detection/students/effb1.py',
]

model = dict(
    backbone=dict(_base_.student.backbone, out_indices=(3, 4, 5)),
    neck=dict(in_channels=_base_.student.channels[1:]))
custom_hooks = [
    dict(_base_.student_hook, unused=_base_.student.unused),
    *_base_.custom_hooks[1:],
]
