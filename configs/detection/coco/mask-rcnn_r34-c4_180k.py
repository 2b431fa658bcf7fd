"""Mask R-CNN C4 on COCO 2017, a student's ResNet-34 as its backbone.

Paper, Table 3, AP / AP50 / AP75 of boxes, and of masks: MoCo-v2
38.1 / 56.8 / 40.7, 33.0 / 53.2 / 35.3; DisCo from R-50 40.0 / 59.1 / 43.4,
34.9 / 56.3 / 37.1, from R-101 40.0 / 59.1 / 43.2, 34.7 / 55.9 / 37.4, from
R-152 39.4 / 58.7 / 42.7, 34.4 / 55.4 / 36.7. Status: not run here.
    bash tools/dist_train.sh configs/detection/coco/mask-rcnn_r34-c4_180k.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/mask-rcnn_c4.py',
    '../../_base_/detection/coco_c4.py',
    '../../_base_/detection/coco_180k.py',
    '../../_base_/detection/c4_runtime.py',
]
model = dict(
    backbone=dict(depth=34), roi_head=dict(shared_head=dict(depth=34)))
