# A linear classifier on ViT-tiny, frozen, as DINO evaluates its ViT-S: on the
# class tokens of the last four blocks, 4 x 192.
_base_ = '../students/vitt.py'

model = dict(
    type='LinearClassifier',
    backbone=dict(
        _base_.student.backbone,
        type='LastBlocksViT',
        out_indices=[8, 9, 10, 11]),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=768))
