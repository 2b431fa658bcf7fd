"""ViT-S/16, the image tower of Perception Encoder (core).

Source: facebookresearch/perception_models, converted by timm; licence Apache-2.0.
72.7 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. Commercial use allowed by the licence.
Embedding: feature of its attention pooling, before the projection to the text tower's
space, 384-d. Images of 384 pixels. Patches of 16: sides of images are multiples of 16.
Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_pe_core_small_patch16_384.fb'),
    neck=dict(type='PooledNeck', in_channels=384),
    checkpoint='checkpoints/vit_pe_core_small_patch16_384.fb.safetensors',
    url='https://huggingface.co/timm/vit_pe_core_small_patch16_384.fb/resolve/main/'
        'model.safetensors',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
