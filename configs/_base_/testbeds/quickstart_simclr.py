# SimCLR for the quickstart's student: 510 negatives from the batch, MoCo-v2's
# temperature.
testbed = dict(
    type='SimCLR',
    neck=dict(
        type='NonLinearNeck',
        in_channels=32,
        hid_channels=64,
        out_channels=128,
        norm_cfg=dict(type='BN1d')),
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=.2))
