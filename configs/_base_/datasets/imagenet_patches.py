# ImageNet's training folder in one crop of 224 and six patches of 96 by the
# augmentation of SwAV, as SEED uses for SwAV teachers. 32 images per GPU on 8 GPUs.
_base_ = './imagenet_swav.py'

train_pipeline = [
    _base_.train_pipeline[0],
    dict(_base_.train_pipeline[1], num_views=[1, 6]),
    _base_.train_pipeline[2],
]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
