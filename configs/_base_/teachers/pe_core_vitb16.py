"""ViT-B/16, the image tower of Perception Encoder (core).

Source: facebookresearch/perception_models, converted by timm; licence Apache-2.0.
78.4 top-1 (ImageNet, zero-shot, with its text tower) as published with the file. Not
measured here. Commercial use allowed by the licence.
Embedding: feature of its attention pooling, before the projection to the text tower's
space, 768-d. Images of 224 pixels. Patches of 16: sides of images are multiples of 16.
Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_pe_core_base_patch16_224.fb'),
    neck=dict(type='PooledNeck', in_channels=768),
    checkpoint='checkpoints/vit_pe_core_base_patch16_224.fb.safetensors',
    url='https://huggingface.co/timm/vit_pe_core_base_patch16_224.fb/resolve/main/'
        'model.safetensors',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
