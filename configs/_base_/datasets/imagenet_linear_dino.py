# ImageNet with labels as DINO (https://arxiv.org/abs/2104.14294) evaluates: 128
# images per GPU; val images are resized with bicubic interpolation.
_base_ = './imagenet_linear.py'

test_pipeline = [
    dict(type='LoadPhoto'),
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        interpolation='bicubic',
        backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=128, dataset=dict(pipeline=test_pipeline))
