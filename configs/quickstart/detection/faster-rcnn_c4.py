"""Faster R-CNN C4 with the quickstart's student, on garments in photographs.

    python tools/make_detection_set.py --kind voc --out data/garments_voc
    python tools/train.py configs/quickstart/detection/faster-rcnn_c4.py \
        --student work_dirs/quickstart/disco/seed0/epoch_12.pth
Status: measured here, see benchmarks/detection.md.
"""
_base_ = [
    '../../_base_/detection/faster-rcnn_c4.py',
    '../../_base_/detection/garments_voc.py',
    '../../_base_/detection/quickstart_c4.py',
    '../../_base_/detection/quickstart_c4_runtime.py',
]
model = _base_.width
