# BYOL (https://arxiv.org/abs/2006.07733) as the self-supervised method, by
# mmpretrain's byol_resnet50_16xb256-coslr-200e: batch 4096, momentum
# from .99 to 1 (mmengine counts 1 - m). Embeddings of 128 instead of 256, the
# teacher's width, with DisCo and alone. BN is synchronised
# over ranks.
testbed = dict(
    type='BYOL',
    base_momentum=.01,
    head=dict(
        type='LatentPredictHead',
        predictor=dict(
            type='NonLinearNeck',
            in_channels=128,
            hid_channels=4096,
            out_channels=128,
            with_bias=True,
            with_last_bn=False,
            with_avg_pool=False,
            norm_cfg=dict(type='BN1d')),
        loss=dict(type='CosineSimilarityLoss')))
testbed_neck = dict(
    type='NonLinearNeck',
    hid_channels=4096,
    out_channels=128,
    with_bias=True,
    with_last_bn=False,
    norm_cfg=dict(type='BN1d'))
sync_bn = 'torch'
