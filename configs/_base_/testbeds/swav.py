# SwAV (https://arxiv.org/abs/2006.09882) as the contrastive method: 3000
# prototypes, temperature .1, queue of 3840 embeddings from epoch 15 on (3584 of
# a batch of 512). BN is synchronised over ranks.
testbed = dict(
    type='SwAV',
    head=dict(
        type='SwAVHead',
        loss=dict(
            type='QueueSwAVLoss',
            feat_dim=128,
            num_crops=[2, 6],
            num_prototypes=3000,
            queue_len=3840)))
testbed_neck = dict(
    type='SwAVNeck',
    hid_channels=2048,
    out_channels=128,
    norm_cfg=dict(type='BN1d'))
testbed_hooks = [
    dict(type='SwAVQueueHook', start_epoch=15),
    dict(type='FreezeGradHook', name='prototypes', iters=5005),
]
sync_bn = 'torch'
