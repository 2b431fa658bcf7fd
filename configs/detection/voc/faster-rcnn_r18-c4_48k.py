"""Faster R-CNN C4 on VOC 07+12, a student's ResNet-18 as its backbone.

The paper has no result for ResNet-18. Status: not run here.
    bash tools/dist_train.sh configs/detection/voc/faster-rcnn_r18-c4_48k.py 8 \
        --student work_dirs/r50_r18/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/faster-rcnn_c4.py',
    '../../_base_/detection/voc0712_c4.py',
    '../../_base_/detection/voc_48k.py',
    '../../_base_/detection/c4_runtime.py',
]
model = dict(
    backbone=dict(depth=18),
    roi_head=dict(
        shared_head=dict(depth=18), bbox_head=dict(num_classes=20)))
