# SGD of MoCo-v2 and DisCo: lr .03 for 256 images, cosine by epoch, 200 epochs.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=.03, momentum=.9, weight_decay=1e-4))
# the cosine ends with train_cfg.max_epochs
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
auto_scale_lr = dict(base_batch_size=256, enable=False)
