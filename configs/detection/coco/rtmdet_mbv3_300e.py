"""RTMDet-tiny on COCO 2017, a student's MobileNetV3-Large in place of CSPNeXt.

Not in the paper: recipe ours, mmdet's RTMDet-tiny. Status: not run here.
    bash tools/dist_train.sh configs/detection/coco/rtmdet_mbv3_300e.py 8 \
        --student work_dirs/r50_mbv3/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/rtmdet_coco_300e.py',
    '../../_base_/detection/students/mbv3.py',
]

model = dict(
    # without the 960-wide layer, which would double the neck
    backbone=dict(_base_.student.backbone, out_indices=(6, 12, 15)),
    neck=dict(in_channels=[40, 112, 160]))
custom_hooks = [
    dict(_base_.student_hook, unused=['layer16.*', 'layer17.*']),
    *_base_.custom_hooks[1:],
]
