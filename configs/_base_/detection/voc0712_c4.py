# VOC 2007 and 2012 trainval, and 2007 test, for the C4 detector: the shorter
# side is sampled from twelve sizes, 400 to 800 pixels, and 800 for
# evaluation.
# The paper's AP is that of VOC 2007, by 11 points, averaged over IoUs of .5 to
# .95; COCO's definition is also reported.
data_root = 'data/VOCdevkit/'
train_pipeline = [
    dict(type='LoadPhoto'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LearnDifficult'),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, short) for short in (400, *range(480, 801, 32))],
        keep_ratio=True),
    dict(type='RandomFlip', prob=.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadPhoto'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    # after Resize: boxes stay in pixels of the original image
    dict(type='LoadAnnotations', with_bbox=True),
    # CocoMetric reads the annotations from 'instances'
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'instances')),
]
trainval = dict(
    type='VOCDataset',
    data_root=data_root,
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    # no AspectRatioBatchSampler: a resumed run would read all past images
    # again
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        # each data set sets its own
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                **trainval,
                ann_file='VOC2007/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root='VOC2007/')),
            dict(
                **trainval,
                ann_file='VOC2012/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root='VOC2012/')),
        ]))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VOCDataset',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='VOCAPMetric', eval_mode='11points'),
    dict(type='CocoMetric', metric='bbox'),
]
test_evaluator = val_evaluator
