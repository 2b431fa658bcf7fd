"""Linear evaluation of ResNet-34.

Paper, Table 1: 62.5 top-1, 85.4 top-5 (ImageNet linear) of DisCo's from
R-50, 56.8 of MoCo-v2's alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_r34.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/classifiers/r34.py',
    '../_base_/benchmark_runtime.py',
]
