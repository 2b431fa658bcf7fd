# XCiT-T12/16, 6.5 M, with DINO's head: the class token is embedded.
# The paper's 'XCiT-tiny' could be T12 or T24: its 26.1 M fit neither, but a
# headless T12 has 26.1 MB in fp32, and T12 has its teacher's depth and patch
# size. For T24, set depth=24 and layer_scale_init_value=1e-5.
# The testbed adds drop path, to the student only.
student = dict(
    backbone=dict(
        type='XCiT',
        img_size=224,
        patch_size=16,
        embed_dims=192,
        depth=12,
        num_heads=4,
        layer_scale_init_value=1.,
        tokens_norm=True,
        out_type='cls_token'),
    neck=dict(type='DINONeck', in_channels=192))
