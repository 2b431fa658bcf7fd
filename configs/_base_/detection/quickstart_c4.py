# The C4 detectors at the size of the quickstart's student (a ResNet-18 a
# sixteenth as wide): images of 128 pixels, objects of 24 to 64, few regions.
width = dict(
    data_preprocessor=dict(
        mean=[72.94, 72.94, 72.94], std=[90.02, 90.02, 90.02]),
    backbone=dict(depth=18, stem_channels=4, base_channels=4),
    rpn_head=dict(
        in_channels=16,
        feat_channels=64,
        anchor_generator=dict(scales=[1.25, 1.75, 2.5, 3.5])),
    roi_head=dict(
        shared_head=dict(depth=18, base_channels=4),
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=32, num_classes=10)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=500, max_per_img=100),
        rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(
        rpn=dict(nms_pre=300, max_per_img=50),
        rcnn=dict(max_per_img=20)))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=6, val_interval=6)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        T_max=6,
        by_epoch=True,
        begin=0,
        end=6,
        convert_to_iter_based=True),
]
# Not SGD: the students' weights differ fivefold in size, and so would its steps
# relative to them. The rate is the best of .003, .01, .03 and .06 for random
# weights and for DisCo's student (Mask R-CNN, one seed, default data set of
# tools/make_detection_set.py); .01 is better for MoCo-v2's.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=.03, weight_decay=.05))
auto_scale_lr = dict(enable=False, base_batch_size=8)
