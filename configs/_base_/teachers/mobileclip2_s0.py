"""The image tower of MobileCLIP2-S0.

Source: apple/ml-mobileclip, converted by timm; licence Apple AMLR.
No accuracy quoted. No commercial use by the licence.
Embedding: pooled feature, before the projection to the text tower's space, 1024-d.
Images of 256 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='fastvit_mci0.apple_mclip2_dfndr2b'),
    neck=dict(type='PooledNeck', in_channels=1024),
    checkpoint='checkpoints/fastvit_mci0.apple_mclip2_dfndr2b.safetensors',
    url='https://huggingface.co/timm/fastvit_mci0.apple_mclip2_dfndr2b/resolve/main/'
        'model.safetensors',
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0])
