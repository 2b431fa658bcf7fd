"""ViT-S/16, supervised with the labels of ImageNet-21k (AugReg).

Source: google-research/vision_transformer, converted by timm; licence Apache-2.0.
No accuracy quoted. Commercial use allowed by the licence.
Embedding: class token behind the last norm, 384-d. Images of 224 pixels. Patches of 16:
sides of images are multiples of 16. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_small_patch16_224.augreg_in21k'),
    neck=dict(type='ClassTokenNeck', in_channels=384),
    checkpoint='checkpoints/vit_small_patch16_224.augreg_in21k.safetensors',
    url='https://huggingface.co/timm/vit_small_patch16_224.augreg_in21k/resolve/'
        'main/model.safetensors',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
