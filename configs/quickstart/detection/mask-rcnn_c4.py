"""Mask R-CNN C4 with the quickstart's student, on garments in photographs.

    python tools/make_detection_set.py --kind coco --out data/garments_coco
    python tools/train.py configs/quickstart/detection/mask-rcnn_c4.py \
        --student work_dirs/quickstart/disco/seed0/epoch_12.pth
Status: measured here, see benchmarks/detection.md.
"""
_base_ = [
    '../../_base_/detection/mask-rcnn_c4.py',
    '../../_base_/detection/garments_coco.py',
    '../../_base_/detection/quickstart_c4.py',
    '../../_base_/detection/quickstart_c4_runtime.py',
]
model = dict(_base_.width)
model['roi_head'] = dict(
    model['roi_head'],
    mask_head=dict(in_channels=32, conv_out_channels=64, num_classes=10))
