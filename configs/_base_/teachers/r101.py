"""ResNet-101 by MoCo-v2, 200 epochs.

Source: jacobswan1/SEED; licence MIT.
That is the licence of its code; the file itself states none.
70.3 top-1 (ImageNet linear) as SEED's paper reports: the closest public file,
not DisCo's (69.1), which its README links on a web page only. The link is
signed and ends in November 2031.
Embedding: output of the projection head 2048-2048-128, 128-d.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='ResNet', depth=101, zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    checkpoint='checkpoints/res101-moco-v2-checkpoint_0199.pth.tar',
    url='https://seed.blob.core.windows.net/data/SEED/'
        'res101-moco-v2-checkpoint_0199.pth.tar'
        '?sv=2020-08-04&st=2021-11-03T22%3A05%3A15Z'
        '&se=2031-11-04T22%3A05%3A00Z&sr=b&sp=r&sig='
        'QdAtnGB%2B%2Bh9YQBs%2BDlURv42TcoWWIpNDrfHNohadWPU%3D')
