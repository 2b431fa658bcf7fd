"""CoSS: MobileNetV4-Conv-S from DINOv2's ViT-S/14, on a folder of photos.

Cosine of each image, and of each dimension over the batch; no queue.
    python tools/train.py configs/distill/coss.py --cfg-options \
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
    distill=dict(type='CoSSLoss'))
