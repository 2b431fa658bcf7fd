# 12 epochs of VOC 07+12 at the lr of mmdet's VOC configs, which see each image
# as often: 16 images (8 GPUs, 2 each).
_base_ = './schedule_1x.py'

optim_wrapper = dict(optimizer=dict(lr=.01))
