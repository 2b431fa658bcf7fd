"""ViT-B/16 by DINOv3, distilled from its ViT-7B.

Source: facebookresearch/dinov3, converted by timm; licence DINOv3 License.
No accuracy quoted. Commercial use allowed on its conditions.
Embedding: class token behind the last norm, 768-d. Images of 256 pixels. Patches of 16:
sides of images are multiples of 16. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_base_patch16_dinov3.lvd1689m'),
    neck=dict(type='ClassTokenNeck', in_channels=768),
    checkpoint='checkpoints/vit_base_patch16_dinov3.lvd1689m.safetensors',
    url='https://huggingface.co/timm/vit_base_patch16_dinov3.lvd1689m/resolve/main/'
        'model.safetensors',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])
