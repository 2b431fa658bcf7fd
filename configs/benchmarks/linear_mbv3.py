"""Linear evaluation of MobileNetV3-Large.

Paper, Table 1: 64.4 top-1, 86.2 top-5 (ImageNet linear) of DisCo's from
R-50, 36.2 of MoCo-v2's alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_mbv3.py 8 \
        --student work_dirs/r50_mbv3/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/classifiers/mbv3.py',
    '../_base_/benchmark_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=3.))
