"""ResNet-152 by MoCo-v2, 800 epochs.

Source: jacobswan1/SEED; licence MIT.
That is the licence of its code; the file itself states none.
74.2 top-1 (ImageNet linear) as SEED's paper reports, for this file or the one
of 200 epochs (not specified). The closest public file, not DisCo's (74.1), which
its README links on a web page only. DisCo's paper says 400 epochs, its code
800. The link is signed and ends in November 2031.
Embedding: output of the projection head 2048-2048-128, 128-d.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='ResNet', depth=152, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    checkpoint='checkpoints/800-resnet152-moco-v2-checkpoint_0799.pth.tar',
    url='https://seed.blob.core.windows.net/data/SEED/'
        '800-resnet152-moco-v2-checkpoint_0799.pth.tar'
        '?sv=2020-08-04&st=2021-11-03T22%3A04%3A37Z'
        '&se=2031-11-04T22%3A04%3A00Z&sr=b&sp=r&sig='
        'Xg1Pf50T9EC9g7b4FbQxt3uC8%2BKuyKZQRF8lt3YbzVE%3D')
