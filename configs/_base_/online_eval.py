# Quality curves of a training on ImageNet (docs/curves.md): samples of labelled
# images are scored. To enable it, inherit a config and this file, and set the
# epochs between two evaluations:
#
#   _base_ = ['../disco/r50_r18.py', '../_base_/online_eval.py']
#   train_cfg = dict(val_interval=5)
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
val_cfg = dict(
    type='OnlineLoop',
    train=dict(data_prefix='train', **online_images),
    test=dict(data_prefix='val', **online_images),
    num_train=10000,
    num_test=2000,
    scorers=[
        dict(type='KNNScorer'),
        dict(type='ProbeScorer'),
        dict(type='QualityScorer'),
        dict(type='TeacherKNNScorer'),
    ])
val_dataloader = dict(batch_size=250, num_workers=4)
val_evaluator = []  # none: the scorers evaluate
online_hooks = dict()  # empty: earlier configs add these to default_hooks
