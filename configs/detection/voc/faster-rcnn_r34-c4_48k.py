"""Faster R-CNN C4 on VOC 07+12, a student's ResNet-34 as its backbone.

Paper, Table 3, AP / AP50 / AP75 of boxes: MoCo-v2 53.6 / 79.1 / 58.7; DisCo
from R-50 56.5 / 80.6 / 62.5, from R-101 56.1 / 80.3 / 61.8, from R-152
56.6 / 80.8 / 63.4. Status: not run here.
    bash tools/dist_train.sh configs/detection/voc/faster-rcnn_r34-c4_48k.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = [
    '../../_base_/detection/faster-rcnn_c4.py',
    '../../_base_/detection/voc0712_c4.py',
    '../../_base_/detection/voc_48k.py',
    '../../_base_/detection/c4_runtime.py',
]
model = dict(
    backbone=dict(depth=34),
    roi_head=dict(
        shared_head=dict(depth=34), bbox_head=dict(num_classes=20)))
