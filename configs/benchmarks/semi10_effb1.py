"""Semi-supervised linear evaluation of EfficientNet-B1, 10 % of labels.

Paper, Figure 5 (for some students and teachers; no values are printed).
Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/semi10_effb1.py 8 \
        --student work_dirs/r50_effb1/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_semi10.py',
    '../_base_/schedules/semi_100e.py',
    '../_base_/classifiers/effb1.py',
    '../_base_/benchmark_runtime.py',
]
