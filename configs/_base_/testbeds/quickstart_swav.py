# SwAV for 10 000 images and the quickstart's student: 100 prototypes, fewer than
# the batch size, so no queue. Prototypes are frozen for an epoch.
testbed = dict(
    type='SwAV',
    neck=dict(
        type='SwAVNeck',
        in_channels=32,
        hid_channels=64,
        out_channels=128,
        norm_cfg=dict(type='BN1d')),
    head=dict(
        type='SwAVHead',
        loss=dict(
            type='QueueSwAVLoss',
            feat_dim=128,
            num_crops=[2, 4],
            num_prototypes=100)))
testbed_hooks = [dict(type='FreezeGradHook', name='prototypes', iters=39)]
