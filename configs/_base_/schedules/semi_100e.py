# SGD of DisCo's release on 1 % and 10 % of the labels (the paper gives no
# settings): rate 3 for all students, halved after 60 and 80 epochs.
_base_ = './linear_100e.py'

optim_wrapper = dict(optimizer=dict(lr=3.))
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=True, milestones=[60, 80], gamma=.5)
]
