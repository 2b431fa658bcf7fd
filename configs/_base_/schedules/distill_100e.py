# AdamW: lr .001 for 256 images, scaled to the global batch; a short warm-up, then
# cosine by iteration, 100 epochs.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=.001, weight_decay=.05))
# both factors multiply; the cosine ends with train_cfg.max_epochs
param_scheduler = [
    dict(type='LinearLR', start_factor=.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
auto_scale_lr = dict(base_batch_size=256, enable=True)
