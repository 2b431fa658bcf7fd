# SGD of mmpretrain's SimSiam: lr .05 for 256 images, cosine by epoch, 200
# epochs; the predictor's stays at .05 (the SimSiamHook of the testbed).
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=.05, momentum=.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(predictor=dict(fix_lr=True))))
# the cosine ends with train_cfg.max_epochs
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
auto_scale_lr = dict(base_batch_size=256, enable=False)
