# SGD of linear evaluation for the SwAV testbed: .3 for 256 images, weight
# decay, cosine to zero.
_base_ = './linear_100e.py'

optim_wrapper = dict(optimizer=dict(lr=.3, weight_decay=1e-6))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True)]
