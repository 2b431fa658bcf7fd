# LARS of mmpretrain's Barlow Twins: lr 1.6 for 2048 images, ten epochs of
# warm-up, cosine by iteration to a thousandth, 300 epochs: of its 300 and 1000
# the one closer to 200. Neither LARS nor decay for BN and biases, whose lr is
# .0384.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='LARS', lr=1.6, momentum=.9, weight_decay=1e-6),
    paramwise_cfg=dict(
        custom_keys={
            'bn': dict(decay_mult=0, lr_mult=.024, lars_exclude=True),
            'bias': dict(decay_mult=0, lr_mult=.024, lars_exclude=True),
            # BN of ResNet's shortcuts
            'downsample.1': dict(
                decay_mult=0, lr_mult=.024, lars_exclude=True),
        }))
# the cosine ends with train_cfg.max_epochs
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1.6e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        # mmpretrain's eta_min of .0016 is more than that of BN and biases
        eta_min_ratio=.001,
        by_epoch=True,
        begin=10,
        convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300)
auto_scale_lr = dict(base_batch_size=2048, enable=False)
