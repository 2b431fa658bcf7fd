"""ViT-L/14, the image tower of Perception Encoder (core).

Source: facebookresearch/perception_models, converted by timm; licence Apache-2.0.
83.5 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. Commercial use allowed by the licence.
Embedding: feature of its attention pooling, before the projection to the text tower's
space, 1024-d. Images of 336 pixels. Patches of 14: sides of images are multiples of 14.
Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_pe_core_large_patch14_336.fb'),
    neck=dict(type='PooledNeck', in_channels=1024),
    checkpoint='checkpoints/vit_pe_core_large_patch14_336.fb.safetensors',
    url='https://huggingface.co/timm/vit_pe_core_large_patch14_336.fb/resolve/main/'
        'model.safetensors',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
