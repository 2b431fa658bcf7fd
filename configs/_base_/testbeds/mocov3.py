# MoCo-v3 (https://arxiv.org/abs/2104.02057) as the self-supervised method, by
# mmpretrain's mocov3_resnet50_8xb512-amp-coslr-100e: batch 4096,
# temperature 1, momentum from .99 to 1 (mmengine counts 1 - m). Embeddings of
# 128 instead of 256, the teacher's width, with DisCo and alone. BN is
# synchronised over ranks.
testbed = dict(
    type='MoCoV3',
    base_momentum=.01,
    head=dict(
        type='MoCoV3Head',
        predictor=dict(
            type='NonLinearNeck',
            in_channels=128,
            hid_channels=4096,
            out_channels=128,
            with_last_bn=False,
            with_avg_pool=False,
            norm_cfg=dict(type='BN1d')),
        # the paper's factor: twice the temperature
        loss=dict(type='CrossEntropyLoss', loss_weight=2.),
        temperature=1.))
testbed_neck = dict(
    type='NonLinearNeck',
    hid_channels=4096,
    out_channels=128,
    with_last_bn_affine=False,
    norm_cfg=dict(type='BN1d'))
sync_bn = 'torch'
