"""RTMDet-tiny on COCO 2017, a student's ResNet-34 in place of CSPNeXt.

Not in the paper: recipe ours, mmdet's RTMDet-tiny. Status: not run here.
    bash tools/dist_train.sh configs/detection/coco/rtmdet_r34_300e.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/rtmdet_coco_300e.py',
    '../../_base_/detection/students/r34.py',
]

model = dict(
    backbone=dict(_base_.student.backbone, out_indices=(1, 2, 3)),
    neck=dict(in_channels=_base_.student.channels[1:]))
