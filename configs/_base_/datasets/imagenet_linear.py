# ImageNet with labels, for linear evaluation as in MoCo
# (https://arxiv.org/abs/1911.05722): one random crop; 32 images per GPU on 8.
# train and val contain one folder per class. An unreadable image stops the run:
# scores must be on all images.
data_root = 'data/imagenet'
data_preprocessor = dict(
    type='ClsDataPreprocessor',
    num_classes=1000,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

train_pipeline = [
    # same pixels as the other tools; raises on a truncated file
    dict(type='LoadPhoto'),
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(.08, 1.),
        backend='pillow'),
    dict(type='RandomFlip', prob=.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadPhoto'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='LabelledPhotos',
        data_root=data_root,
        data_prefix='train',
        num_classes=1000,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='LabelledPhotos',
        data_root=data_root,
        data_prefix='val',
        num_classes=1000,
        pipeline=test_pipeline))
val_evaluator = dict(type='Accuracy', topk=(1, 5))
val_cfg = dict()
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = val_cfg
