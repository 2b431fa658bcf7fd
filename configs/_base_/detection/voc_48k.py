# 48 000 iterations of 32 images (8 GPUs, 4 each), as in the released config.
# The paper gives lr .1 and steps at 18 k and 22.2 k; the released config, which
# made its numbers, lr .01 and steps at 18 k and 22 k.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=48000, val_interval=12000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=.001, by_epoch=False, begin=0, end=200),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=48000,
        milestones=[18000, 22000],
        gamma=.1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=.01, momentum=.9, weight_decay=1e-4))
auto_scale_lr = dict(enable=False, base_batch_size=32)
