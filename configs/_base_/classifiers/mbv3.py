# A linear classifier on MobileNetV3-Large, frozen: on the pooled features.
_base_ = '../students/mbv3.py'

model = dict(
    type='LinearClassifier',
    backbone=_base_.student.backbone,
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=1280))
