# ImageNet's training folder in one view by the augmentation of MoCo-v2: for
# methods with one student pass per image, e.g. SEED.
_base_ = './imagenet_mocov2.py'

train_pipeline = [
    _base_.train_pipeline[0],
    dict(_base_.train_pipeline[1], num_views=1),
    _base_.train_pipeline[2],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
