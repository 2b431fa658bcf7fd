"""ViT-B/16, the image tower of SigLIP 2.

Source: google-research/big_vision, converted by timm; licence Apache-2.0.
78.2 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. Commercial use allowed by the licence.
Embedding: feature of its attention pooling, 768-d. Images of 224 pixels. Patches of 16:
sides of images are multiples of 16. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_base_patch16_siglip_224.v2_webli'),
    neck=dict(type='PooledNeck', in_channels=768),
    checkpoint='checkpoints/vit_base_patch16_siglip_224.v2_webli.safetensors',
    url='https://huggingface.co/timm/vit_base_patch16_siglip_224.v2_webli/resolve/'
        'main/model.safetensors',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
