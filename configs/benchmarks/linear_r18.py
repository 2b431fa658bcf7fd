"""Linear evaluation of ResNet-18.

Paper, Table 1: 60.6 top-1, 83.7 top-5 (ImageNet linear) of DisCo's from
R-50, 52.2 of MoCo-v2's alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_r18.py 8 \
        --student work_dirs/r50_r18/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/classifiers/r18.py',
    '../_base_/benchmark_runtime.py',
]
