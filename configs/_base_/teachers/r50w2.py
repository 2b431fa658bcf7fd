# ResNet-50, twice as wide, by SwAV, 400 epochs, 77.3 % linear top-1 as
# published with the file (the paper says 800 epochs). Licence CC BY-NC 4.0.
# The embedding is the 128-d output of its projection head, before prototypes.
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(
        type='ResNet',
        depth=50,
        stem_channels=128,
        base_channels=128,
        zero_init_residual=False),
    neck=dict(
        type='NonLinearNeck',
        in_channels=4096,
        hid_channels=8192,
        out_channels=128,
        with_bias=True,
        with_last_bias=True,
        with_last_bn=False,
        norm_cfg=dict(type='BN1d')),
    checkpoint='checkpoints/swav_RN50w2_400ep_pretrain.pth.tar')
teacher_url = ('https://dl.fbaipublicfiles.com/deepcluster/'
               'swav_RN50w2_400ep_pretrain.pth.tar')
