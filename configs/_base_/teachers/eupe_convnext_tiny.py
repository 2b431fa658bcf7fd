"""ConvNeXt-T by EUPE, distilled from a proxy of several teachers.

Source: facebookresearch/EUPE, converted by timm; licence FAIR Noncommercial Research
License.
No accuracy quoted. No commercial use by the licence.
Embedding: pooled feature, 768-d. Images of 256 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='convnext_tiny.eupe_lvd1689m'),
    neck=dict(type='PooledNeck', in_channels=768),
    checkpoint='checkpoints/convnext_tiny.eupe_lvd1689m.safetensors',
    url='https://huggingface.co/timm/convnext_tiny.eupe_lvd1689m/resolve/main/'
        'model.safetensors',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])
