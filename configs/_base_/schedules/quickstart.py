# SGD for small images: batch 256, a short warm-up, cosine by iteration.
# (Both factors multiply; the cosine ends with train_cfg.max_epochs.)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=.12, momentum=.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=3)
auto_scale_lr = dict(base_batch_size=256, enable=False)
