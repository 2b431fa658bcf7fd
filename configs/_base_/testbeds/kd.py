# KD (https://arxiv.org/abs/1503.02531) at linear evaluation, T 2 and alpha .5:
# a linear classifier on a frozen student is trained with labels and a linear
# classifier on the teacher, configs/benchmarks/linear_r50.py.
testbed = dict(
    type='KDClassifier',
    teacher=dict(
        type='FrozenClassifier',
        backbone=dict(type='ResNet', depth=50, zero_init_residual=False),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048),
        checkpoint='checkpoints/linear_r50.pth'),
    # The release also averages the divergence over classes, which divides the
    # teacher's term by 1000: --cfg-options model.distill.reduction=mean
    distill=dict(type='KDLoss', temperature=2., alpha=.5))
