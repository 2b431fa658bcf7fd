# Barlow Twins (https://arxiv.org/abs/2103.03230) as the self-supervised method,
# by mmpretrain's barlowtwins_resnet50_8xb256-coslr-300e: batch 2048,
# embeddings of 8192. BN is synchronised over ranks, also in the head, where
# mmpretrain's is local.
testbed = dict(
    type='BarlowTwins',
    head=dict(
        type='LatentCrossCorrelationHead',
        in_channels=8192,
        loss=dict(type='CrossCorrelationLoss')))
testbed_neck = dict(
    type='NonLinearNeck',
    hid_channels=8192,
    out_channels=8192,
    num_layers=3,
    with_last_bn=False,
    norm_cfg=dict(type='BN1d'),
    init_cfg=dict(type='Kaiming', distribution='uniform', layer=['Linear']))
sync_bn = 'torch'
