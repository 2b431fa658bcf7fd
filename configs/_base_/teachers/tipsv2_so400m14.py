"""So400m/14, the image tower of TIPSv2.

Source: google-deepmind/tips, converted by timm; licence Apache-2.0.
82.8 top-1 (ImageNet, kNN) as published with the file. Not measured here. Commercial use
allowed by the licence.
Embedding: class token behind the last norm, 1152-d. Images of 448 pixels. Patches of
14: sides of images are multiples of 14. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_so400m_patch14_reg1_tipsv2.webli'),
    neck=dict(type='ClassTokenNeck', in_channels=1152),
    checkpoint='checkpoints/vit_so400m_patch14_reg1_tipsv2.webli.safetensors',
    url='https://huggingface.co/timm/vit_so400m_patch14_reg1_tipsv2.webli/resolve/'
        'main/model.safetensors',
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0])
