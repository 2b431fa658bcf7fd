# ViT-tiny/16 for a detector: one map after its final norm, nothing
# frozen. Global attention, as in pre-training, instead of ViTDet's windows: 4200
# patches at 1333 x 800. The position embedding is interpolated.
_base_ = '../../students/vitt.py'

student = dict(
    backbone=dict(type='mmpretrain.VisionTransformer', out_type='featmap'),
    channels=[192],
    # only weights decay
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        custom_keys=dict(
            cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.))))
