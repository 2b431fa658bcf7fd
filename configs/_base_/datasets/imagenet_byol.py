# ImageNet's training folder, without labels, in two views by the augmentation
# of BYOL (https://arxiv.org/abs/2006.07733): the first is always blurred, the
# second solarized sometimes. 512 images per GPU on 8 GPUs.
data_root = 'data/imagenet'
data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

view_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(.08, 1.),
        interpolation='bicubic',
        backend='pillow'),
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
    dict(
        type='GaussianBlur',
        magnitude_range=(.1, 2.),
        magnitude_std='inf',
        prob=1.),
]
second_pipeline = [
    *view_pipeline[:4],
    dict(
        type='GaussianBlur',
        magnitude_range=(.1, 2.),
        magnitude_std='inf',
        prob=.1),
    dict(type='Solarize', thr=128, prob=.2),
]
train_pipeline = [
    # same pixels as in evaluation; raises on a truncated file
    dict(type='LoadPhoto'),
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[view_pipeline, second_pipeline]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=512,
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
