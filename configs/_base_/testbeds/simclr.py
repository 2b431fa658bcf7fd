# SimCLR (https://arxiv.org/abs/2002.05709) as the self-supervised method, by
# mmpretrain's simclr_resnet50_16xb256-coslr-200e: batch 4096,
# temperature .1. BN is synchronised over ranks.
testbed = dict(
    type='GlobalSimCLR',
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=.1))
testbed_neck = dict(
    type='NonLinearNeck',
    hid_channels=2048,
    out_channels=128,
    norm_cfg=dict(type='BN1d'))
sync_bn = 'torch'
