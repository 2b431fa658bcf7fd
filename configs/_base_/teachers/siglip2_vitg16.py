"""ViT-g-opt/16, the image tower of SigLIP 2.

Source: google-research/big_vision, converted by timm; licence Apache-2.0.
84.5 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. Commercial use allowed by the licence.
Embedding: feature of its attention pooling, 1536-d. Images of 256 pixels. Patches of
16: sides of images are multiples of 16. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_giantopt_patch16_siglip_256.v2_webli'),
    neck=dict(type='PooledNeck', in_channels=1536),
    checkpoint='checkpoints/vit_giantopt_patch16_siglip_256.v2_webli.safetensors',
    url='https://huggingface.co/timm/vit_giantopt_patch16_siglip_256.v2_webli/'
        'resolve/main/model.safetensors',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
