# mmdet's RetinaNet with FPN, for a student's backbone. No layer is frozen,
# unlike mmdet's supervised backbones.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

model = dict(backbone=dict(_delete_=True))
