"""ViT-L/16 by DINOv3 for satellite images, distilled from its ViT-7B.

Source: facebookresearch/dinov3, converted by timm; licence DINOv3 License.
No accuracy quoted. Commercial use allowed on its conditions.
Embedding: class token behind the last norm, 1024-d. Images of 256 pixels. Patches of
16: sides of images are multiples of 16. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    backbone=dict(type='TimmNetwork', name='vit_large_patch16_dinov3.sat493m'),
    neck=dict(type='ClassTokenNeck', in_channels=1024),
    checkpoint='checkpoints/vit_large_patch16_dinov3.sat493m.safetensors',
    url='https://huggingface.co/timm/vit_large_patch16_dinov3.sat493m/resolve/main/'
        'model.safetensors',
    mean=[109.65, 104.805, 75.48],
    std=[54.315, 39.78, 36.465])
