"""The image tower of MobileCLIP2-B.

Source: apple/ml-mobileclip, converted by timm; licence Apple AMLR.
No accuracy quoted. No commercial use by the licence.
Embedding: class token behind the last norm, before the projection to the text tower's
space, 768-d. Images of 224 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_base_mci_224.apple_mclip2_dfndr2b'),
    neck=dict(type='ClassTokenNeck', in_channels=768),
    checkpoint='checkpoints/vit_base_mci_224.apple_mclip2_dfndr2b.safetensors',
    url='https://huggingface.co/timm/vit_base_mci_224.apple_mclip2_dfndr2b/resolve/'
        'main/model.safetensors',
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0])
