# ImageNet's training folder, without labels, in two crops of 224 and eight of
# 96 by the augmentation of DINO (https://arxiv.org/abs/2104.14294): each global
# crop has its own blur, the second is solarised. 64 images per GPU on 8
# GPUs.
data_root = 'data/imagenet'
data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

flip_and_colour = [
    dict(type='RandomFlip', prob=.5),
    dict(
        type='RandomApply',
        transforms=[
            dict(
                type='ColorJitter',
                brightness=.4,
                contrast=.4,
                saturation=.2,
                hue=.1)
        ],
        prob=.8),
    dict(
        type='RandomGrayscale',
        prob=.2,
        keep_channels=True,
        channel_weights=(.114, .587, .2989)),
]
blur = dict(
    type='GaussianBlur', magnitude_range=(.1, 2.), magnitude_std='inf')
view_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(.4, 1.),
        interpolation='bicubic',
        backend='pillow'),
    *flip_and_colour,
    dict(**blur, prob=1.),
]
second_pipeline = [
    *view_pipeline[:-1],
    dict(**blur, prob=.1),
    dict(type='Solarize', thr=128, prob=.2),
]
small_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=96,
        crop_ratio_range=(.05, .4),
        interpolation='bicubic',
        backend='pillow'),
    *flip_and_colour,
    dict(**blur, prob=.5),
]
train_pipeline = [
    # same pixels as in evaluation; raises on a truncated file
    dict(type='LoadPhoto'),
    dict(
        type='MultiView',
        num_views=[1, 1, 8],
        transforms=[view_pipeline, second_pipeline, small_pipeline]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    drop_last=True,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='Photos',
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline))
