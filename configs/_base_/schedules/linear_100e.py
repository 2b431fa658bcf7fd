# SGD of linear evaluation: 256 images, no weight decay, a tenth of the rate
# after 60 and 80 of 100 epochs. The rate is the config's: 30 for ResNets, as
# here, 3 for EfficientNets and MobileNets.
# The release halves the rate eleven times instead: linear_100e_halvings.py.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=30., momentum=.9, weight_decay=0.))
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=True, milestones=[60, 80], gamma=.1)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
auto_scale_lr = dict(base_batch_size=256, enable=False)
