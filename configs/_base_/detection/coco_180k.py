# 180 000 iterations of 16 images (8 GPUs, 2 each): MoCo's 2x schedule, with
# lr .02. The paper gives lr .11 but not the steps; no config was released.
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=180000, val_interval=60000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=180000,
        milestones=[120000, 160000],
        gamma=.1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=.02, momentum=.9, weight_decay=1e-4))
auto_scale_lr = dict(enable=False, base_batch_size=16)
