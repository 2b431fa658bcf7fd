# mmdet's 1x: 12 epochs of 16 images (8 GPUs, 2 each), SGD of lr .02.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'
