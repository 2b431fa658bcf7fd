# COCO 2017, boxes only, at 1333 x 800: as in mmdet, decoded as in pre-training.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'

train_pipeline = [dict(type='LoadPhoto'), *_base_.train_pipeline[1:]]
test_pipeline = [dict(type='LoadPhoto'), *_base_.test_pipeline[1:]]
train_dataloader = dict(num_workers=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
