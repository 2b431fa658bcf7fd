"""Linear evaluation of EfficientNet-B0, by SwAV's protocol.

Paper, Table 5: 62.4 top-1 (ImageNet linear) of DisCo's from R-50, 46.8 of
SwAV alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_swav_effb0.py 8 \
        --student work_dirs/swav_swavr50_effb0/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_swav_100e.py',
    '../_base_/classifiers/effb0.py',
    '../_base_/benchmark_runtime.py',
]
