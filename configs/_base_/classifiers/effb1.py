# A linear classifier on EfficientNet-B1, frozen: on the pooled features.
_base_ = '../students/effb1.py'

model = dict(
    type='LinearClassifier',
    backbone=_base_.student.backbone,
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=1280))
