"""RetinaNet on COCO 2017, ViTDet's pyramid on a student's ViT-tiny.

Not in the paper: recipe ours, mmdet's 1x, with AdamW. Status: not run here.
    bash tools/dist_train.sh \
        configs/detection/coco/retinanet_vitt-fpn_1x.py 8 \
        --student work_dirs/vits_vitt/epoch_100.pth
"""
_base_ = [
    '../../_base_/detection/retinanet_fpn.py',
    '../../_base_/detection/students/vitt.py',
    '../../_base_/detection/coco.py',
    '../../_base_/detection/schedule_1x_adamw.py',
    '../../_base_/detection/runtime.py',
]

model = dict(
    backbone=_base_.student.backbone,
    neck=dict(
        _delete_=True,
        type='SimpleFeaturePyramid',
        in_channels=192,
        strides=(8, 16, 32),
        add_extra_convs=True,
        num_outs=5))
optim_wrapper = dict(paramwise_cfg=_base_.student.paramwise_cfg)
