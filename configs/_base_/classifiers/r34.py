# A linear classifier on ResNet-34, frozen: on the pooled features.
_base_ = '../students/r34.py'

model = dict(
    type='LinearClassifier',
    backbone=_base_.student.backbone,
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=512))
