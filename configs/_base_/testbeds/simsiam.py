# SimSiam (https://arxiv.org/abs/2011.10566) as the self-supervised method, by
# mmpretrain's simsiam_resnet50_8xb32-coslr-200e: batch 256, embeddings
# of 2048. BN is synchronised over ranks.
testbed = dict(
    type='SimSiam',
    head=dict(
        type='LatentPredictHead',
        predictor=dict(
            type='NonLinearNeck',
            in_channels=2048,
            hid_channels=512,
            out_channels=2048,
            with_last_bn=False,
            with_last_bias=True,
            with_avg_pool=False,
            norm_cfg=dict(type='BN1d')),
        loss=dict(type='CosineSimilarityLoss')))
testbed_neck = dict(
    type='NonLinearNeck',
    hid_channels=2048,
    out_channels=2048,
    num_layers=3,
    with_last_bn_affine=False,
    norm_cfg=dict(type='BN1d'))
testbed_hooks = [
    # equals the schedule's lr; --auto-scale-lr does not scale it
    dict(type='SimSiamHook', priority='HIGH', fix_pred_lr=True, lr=.05)
]
sync_bn = 'torch'
