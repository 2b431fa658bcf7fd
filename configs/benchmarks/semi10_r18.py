"""Semi-supervised linear evaluation of ResNet-18, 10 % of labels.

Paper, Figure 5 (for some students and teachers; no values are printed).
Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/semi10_r18.py 8 \
        --student work_dirs/r50_r18/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_semi10.py',
    '../_base_/schedules/semi_100e.py',
    '../_base_/classifiers/r18.py',
    '../_base_/benchmark_runtime.py',
]
