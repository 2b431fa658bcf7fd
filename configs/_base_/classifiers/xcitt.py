# A linear classifier on XCiT-tiny, frozen: on its class token, as in DINO's code.
_base_ = '../students/xcitt.py'

model = dict(
    type='LinearClassifier',
    backbone=_base_.student.backbone,
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=192))
