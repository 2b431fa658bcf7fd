"""DisCo with an adapter: MobileNetV4-Conv-S from DINOv2's ViT-S/14.

    python tools/train.py configs/distill/disco.py --cfg-options data_root=PHOTOS
"""
_base_ = [
    '../_base_/datasets/photos_two_views.py',
    '../_base_/schedules/distill_100e.py',
    '../_base_/testbeds/mocov2.py',
    '../_base_/teachers/dinov2_vits14.py',
    '../_base_/students/mobilenetv4_conv_small.py',
    '../_base_/default_runtime.py',
]

neck = dict(type='MoCoV2Neck', in_channels=1280, hid_channels=2048,
            out_channels=128, with_avg_pool=False)
model = dict(
    type='DisCo',
    # queue and momentum for the few steps of some thousand photos
    ssl=dict(_base_.testbed, backbone=_base_.student.backbone, neck=neck,
             queue_len='auto', momentum=.01),
    teacher=_base_.teacher,
    standardize=dict(type='FeatureStandardizer'),
    distill=dict(
        type='DisCoLoss',
        loss_weight=32.,
        adapter=dict(in_features=128, out_features=384)),
    extra_views=(1, ))
