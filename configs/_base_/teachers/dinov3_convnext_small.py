"""ConvNeXt-S by DINOv3, distilled from its ViT-7B.

Source: facebookresearch/dinov3, converted by timm; licence DINOv3 License.
No accuracy quoted. Commercial use allowed on its conditions.
Embedding: pooled feature, 768-d. Images of 224 pixels. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='convnext_small.dinov3_lvd1689m'),
    neck=dict(type='PooledNeck', in_channels=768),
    checkpoint='checkpoints/convnext_small.dinov3_lvd1689m.safetensors',
    url='https://huggingface.co/timm/convnext_small.dinov3_lvd1689m/resolve/main/'
        'model.safetensors',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])
