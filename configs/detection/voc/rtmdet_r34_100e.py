"""RTMDet-tiny on VOC 07+12, a student's ResNet-34 in place of CSPNeXt.

Not in the paper: recipe ours, mmdet's RTMDet-tiny in 100 epochs.
Status: not run here.
    bash tools/dist_train.sh configs/detection/voc/rtmdet_r34_100e.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/rtmdet_voc_100e.py',
    '../../_base_/detection/students/r34.py',
]

model = dict(
    backbone=dict(_base_.student.backbone, out_indices=(1, 2, 3)),
    neck=dict(in_channels=_base_.student.channels[1:]))
