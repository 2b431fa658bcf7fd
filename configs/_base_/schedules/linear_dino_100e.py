# SGD of DINO's linear evaluation: .001 for 256 images, cosine to zero. The base
# is 256 images; 8 GPUs of 128 take four times the rate, as in linear_vitt.py.
_base_ = './linear_100e.py'

optim_wrapper = dict(optimizer=dict(lr=.001))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True)]
