"""RTMDet-tiny on VOC 07+12, a student's ViT-tiny in place of CSPNeXt.

Not in the paper: recipe ours, mmdet's RTMDet-tiny in 100 epochs, with a simple
pyramid before its neck and the lr of its Swin. Status: not run here.
    bash tools/dist_train.sh configs/detection/voc/rtmdet_vitt_100e.py 8 \
        --student work_dirs/vits_vitt/epoch_100.pth
"""
_base_ = [
    '../../_base_/detection/rtmdet_voc_100e.py',
    '../../_base_/detection/students/vitt.py',
]

model = dict(
    backbone=_base_.student.backbone,
    neck=[
        dict(
            type='SimpleFeaturePyramid',
            in_channels=192,
            out_channels=96,
            strides=(8, 16, 32),
            num_outs=3),
        dict(_base_.model.neck, in_channels=[96, 96, 96]),
    ])
optim_wrapper = dict(
    optimizer=dict(lr=.001), paramwise_cfg=_base_.student.paramwise_cfg)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], eta_min=5e-5),
]
