"""Mask R-CNN C4 on COCO 2017, ResNet-34 with detectron2's fourth stage.

detectron2 builds three bottleneck blocks there at any depth, and loads the
student's tensors of matching shape (docs/deviations.md).
Status: not run here.
    bash tools/dist_train.sh \
        configs/detection/coco/mask-rcnn_r34-c4-bottleneck_180k.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = './mask-rcnn_r34-c4_180k.py'

model = dict(roi_head=dict(shared_head=dict(bottleneck=True)))
custom_hooks = [
    dict(
        _base_.student_hook,
        allow=['shared_head.norm.*', 'shared_head.layer4.*.conv1.weight',
               'shared_head.layer4.*.conv3.*', 'shared_head.layer4.*.bn3.*']),
    *_base_.custom_hooks[1:],
]
