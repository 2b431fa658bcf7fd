# Faster R-CNN on a ResNet's third stage; the fourth one, with an extra norm,
# is the RoI head. All layers are trained, including BN, which is synchronised.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py'

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ResNet',
        depth=34,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, ),
        norm_cfg=norm_cfg,
        zero_init_residual=False),
    rpn_head=dict(in_channels=256, feat_channels=256),
    roi_head=dict(
        shared_head=dict(
            _delete_=True, type='Res5Head', depth=34, norm_cfg=norm_cfg),
        bbox_roi_extractor=dict(out_channels=256),
        bbox_head=dict(in_channels=512)))
