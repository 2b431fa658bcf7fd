"""SEED: MobileNetV4-Conv-S from DINOv2's ViT-S/14, on a folder of photos.

The head has a hidden layer, as wide as the features.
    python tools/train.py configs/distill/seed.py --cfg-options \
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
    ssl=dict(
        type='PlainStudent',
        backbone=_base_.student.backbone,
        neck=dict(
            type='MoCoV2Neck',
            in_channels=1280,
            hid_channels=1280,
            out_channels=384,
            with_avg_pool=False)),
    teacher=_base_.teacher,
    standardize=dict(type='FeatureStandardizer'),
    distill=dict(type='SEEDLoss', embed_dim=384, queue_len='auto'))
