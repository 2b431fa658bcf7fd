"""Linear evaluation of EfficientNet-B1.

Paper, Table 1: 66.6 top-1, 87.5 top-5 (ImageNet linear) of DisCo's from
R-50, 48.4 of MoCo-v2's alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_effb1.py 8 \
        --student work_dirs/r50_effb1/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/classifiers/effb1.py',
    '../_base_/benchmark_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=3.))
