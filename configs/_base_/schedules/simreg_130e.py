# SGD of SimReg's release: lr .05 for 256 images, cosine by epoch, 130 epochs.
_base_ = './mocov2_200e.py'

optim_wrapper = dict(optimizer=dict(lr=.05))
train_cfg = dict(max_epochs=130)
