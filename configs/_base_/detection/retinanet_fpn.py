# mmdet's RetinaNet with FPN, for a student's backbone. Begun with it, nothing
# is frozen, unlike a supervised one of mmdet.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

model = dict(backbone=dict(_delete_=True))
