# RTMDet-tiny on VOC 07+12: mmdet's recipe for COCO, in 100 epochs. No mosaic and
# mixup in the last 20; the lr decays in the second half.
_base_ = './rtmdet_coco_300e.py'

model = dict(bbox_head=dict(num_classes=20))

data_root = 'data/VOCdevkit/'
trainval = dict(
    type='VOCDataset',
    data_root=data_root,
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=_base_.train_pipeline)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
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
test_pipeline = [
    *_base_.test_pipeline[:-1],
    # CocoMetric reads the annotations from 'instances'
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'instances')),
]
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
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

max_epochs = 100
train_cfg = dict(max_epochs=max_epochs, dynamic_intervals=[(80, 1)])
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=50, end=max_epochs, T_max=50),
]
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(
        _base_.custom_hooks[-1],
        type='ConcatPipelineSwitchHook',
        switch_epoch=80),
]
