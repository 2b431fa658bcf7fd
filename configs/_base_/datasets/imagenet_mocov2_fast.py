# imagenet_mocov2.py's views at several times its speed, on the CPU: one
# decoding for both crops, and OpenCV. RGB throughout.
data_root = 'data/imagenet'
data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=False)

train_pipeline = [
    dict(
        type='LoadCrops',
        size=224,
        num_views=2,
        scale=(.2, 1.),
        channels_last=True),
    dict(type='PhotometricViews', num_views=2),  # defaults are MoCo-v2's
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
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
