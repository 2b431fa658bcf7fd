# BYOL for 10 000 images and the quickstart's student: a target network that
# updates faster (mmengine counts 1 - m), for fewer steps.
testbed = dict(
    type='BYOL',
    base_momentum=.02,
    neck=dict(
        type='NonLinearNeck',
        in_channels=32,
        hid_channels=256,
        out_channels=128,
        with_bias=True,
        with_last_bn=False,
        norm_cfg=dict(type='BN1d')),
    head=dict(
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(
            type='NonLinearNeck',
            in_channels=128,
            hid_channels=256,
            out_channels=128,
            with_bias=True,
            with_last_bn=False,
            with_avg_pool=False,
            norm_cfg=dict(type='BN1d'))))
