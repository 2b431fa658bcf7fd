# AdamW of DINO: lr .0005 for 256 images, here .001 for 512, ten epochs of
# warm-up, cosine by iteration to 1e-6; weight decay by a cosine from .04 to .4,
# none for biases and one-dimensional parameters. 100 epochs.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=.001, weight_decay=.04),
    paramwise_cfg=dict(flat_decay_mult=0.))
# both cosines end with train_cfg.max_epochs
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6,
        by_epoch=True,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=True,
        begin=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        eta_min_ratio=10.,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
auto_scale_lr = dict(base_batch_size=512, enable=False)
