# LARC of SwAV and of DisCo on SwAV: lr .6 for 512 images, cosine by iteration to .0006,
# no warm-up, 200 epochs; prototypes are frozen for 5005 iterations.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='LARC', lr=.6, momentum=.9, weight_decay=1e-6))
# the cosine ends with train_cfg.max_epochs
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=.001,
        by_epoch=True,
        convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
auto_scale_lr = dict(base_batch_size=512, enable=False)
