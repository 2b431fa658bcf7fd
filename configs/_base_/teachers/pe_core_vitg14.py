"""ViT-G/14, the image tower of Perception Encoder (core).

Source: facebookresearch/perception_models, converted by timm; licence Apache-2.0.
85.4 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. Commercial use allowed by the licence.
Embedding: feature of its attention pooling, before the projection to the text tower's
space, 1536-d. Images of 448 pixels. Patches of 14: sides of images are multiples of 14.
Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_pe_core_gigantic_patch14_448.fb'),
    neck=dict(type='PooledNeck', in_channels=1536),
    checkpoint='checkpoints/vit_pe_core_gigantic_patch14_448.fb.safetensors',
    url='https://huggingface.co/timm/vit_pe_core_gigantic_patch14_448.fb/resolve/'
        'main/model.safetensors',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
