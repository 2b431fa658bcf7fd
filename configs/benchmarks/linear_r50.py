"""Linear evaluation of the R-50 teacher, MoCo-v2's.

Paper, Table 1: 67.4 top-1 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_r50.py 8 \
        --student checkpoints/moco_v2_200ep_pretrain.pth.tar
Its best checkpoint is the teacher of KD:
    cp work_dirs/linear_r50/best_accuracy_top1_epoch_*.pth \
        checkpoints/linear_r50.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(
    type='LinearClassifier',
    backbone=dict(type='ResNet', depth=50, zero_init_residual=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048))
