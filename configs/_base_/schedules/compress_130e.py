# SGD of CompRess' release: lr .01 for 256 images, a fifth of it after 90
# epochs and again after 120, 130 epochs.
_base_ = './mocov2_200e.py'

optim_wrapper = dict(optimizer=dict(lr=.01))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[90, 120], gamma=.2, by_epoch=True)
]
train_cfg = dict(max_epochs=130)
