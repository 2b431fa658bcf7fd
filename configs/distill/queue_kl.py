"""Similarities to a queue: MobileNetV4-Conv-S from DINOv2's ViT-S/14.

On a folder of photos. For mixed images: model.mixup=1.
    python tools/train.py configs/distill/queue_kl.py --cfg-options \
        data_root=PHOTOS
"""
_base_ = [
    '../_base_/datasets/photos_one_view.py',
    '../_base_/schedules/distill_100e.py',
    '../_base_/teachers/dinov2_vits14.py',
    '../_base_/students/mobilenetv4_conv_small.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='DisCo',
    ssl=dict(type='PlainStudent', **_base_.student),
    teacher=_base_.teacher,
    standardize=dict(type='FeatureStandardizer'),
    distill=dict(type='QueueKLLoss', embed_dim=384, queue_len='auto'))
