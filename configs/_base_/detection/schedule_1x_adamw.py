# mmdet's 1x with AdamW, for a vision transformer: 12 epochs of 16 images (8
# GPUs, 2 each). lr and weight decay are ViTDet's (for batch 64).
_base_ = './schedule_1x.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=.1))
