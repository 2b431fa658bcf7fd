# LARS of mmpretrain's MoCo-v3 of a ResNet: lr 9.6 for 4096 images, ten epochs
# of warm-up, cosine by iteration, 100 epochs: of its 100, 300 and 800 the
# longest within 200. Neither LARS nor decay for BN and biases.
# For its fp16 use --amp.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='LARS', lr=9.6, momentum=.9, weight_decay=1e-6),
    paramwise_cfg=dict(
        custom_keys={
            'bn': dict(decay_mult=0, lars_exclude=True),
            'bias': dict(decay_mult=0, lars_exclude=True),
            # BN of ResNet's shortcuts
            'downsample.1': dict(decay_mult=0, lars_exclude=True),
        }))
# the cosine ends with train_cfg.max_epochs
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=10,
        convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
auto_scale_lr = dict(base_batch_size=4096, enable=False)
