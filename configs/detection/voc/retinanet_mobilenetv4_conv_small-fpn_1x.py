"""RetinaNet with FPN on VOC 07+12, with timm's MobileNetV4-Conv-S.

Not in the paper: recipe ours, mmdet's 1x. Status: not run here.
    bash tools/dist_train.sh configs/detection/voc/retinanet_mobilenetv4_conv_small-fpn_1x.py 8 \
        --student work_dirs/coss/epoch_100.pth
"""
_base_ = [
    '../../_base_/detection/retinanet_fpn.py',
    '../../_base_/detection/students/mobilenetv4_conv_small.py',
    '../../_base_/detection/voc0712.py',
    '../../_base_/detection/voc_1x.py',
    '../../_base_/detection/runtime.py',
]

model = dict(
    backbone=_base_.student.backbone,
    neck=dict(in_channels=_base_.student.channels),
    bbox_head=dict(num_classes=20))
custom_hooks = [
    dict(_base_.student_hook, unused=_base_.student.unused),
    *_base_.custom_hooks[1:],
]
