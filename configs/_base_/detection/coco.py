# COCO 2017, boxes only, at 1333 x 800: mmdet's.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'

train_dataloader = dict(num_workers=4)
