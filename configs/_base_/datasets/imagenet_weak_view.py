# ImageNet's training folder in one view, cropped (.2 to 1 of the area) and
# flipped, as in SimReg's release; 32 images per GPU on 8 GPUs.
_base_ = './imagenet_one_view.py'

view_pipeline = [_base_.view_pipeline[0], _base_.view_pipeline[-1]]
train_pipeline = [
    _base_.train_pipeline[0],
    dict(_base_.train_pipeline[1], transforms=[view_pipeline]),
    _base_.train_pipeline[2],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
