# Quality curves of a training on ImageNet (docs/curves.md): labelled images are
# scored every fifth epoch. To enable it, inherit a config and this file, and add
# the hooks:
#
#   _base_ = ['../disco/r50_r18.py', '../_base_/online_eval.py']
#   default_hooks = dict(**_base_.online_hooks)
online_pipeline = [
    dict(type='LoadPhoto'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
online_images = dict(
    type='LabelledPhotos',
    data_root='data/imagenet',
    num_classes=1000,
    pipeline=online_pipeline)
online_hooks = dict(
    online_knn=dict(
        type='OnlineKNNHook',
        train=dict(data_prefix='train', **online_images),
        test=dict(data_prefix='val', **online_images),
        num_train=10000,
        num_test=2000,
        interval=5,
        num_workers=4),
    online_probe=dict(type='OnlineProbeHook'),
    feature_quality=dict(type='FeatureQualityHook'),
    teacher_knn=dict(type='TeacherKNNHook'))
