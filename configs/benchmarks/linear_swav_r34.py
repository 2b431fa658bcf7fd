"""Linear evaluation of ResNet-34, by SwAV's protocol.

Paper, Table 5: 63.3 top-1 (ImageNet linear) of DisCo's from R-50, 63.3 of
SwAV alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_swav_r34.py 8 \
        --student work_dirs/swav_swavr50_r34/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_swav_100e.py',
    '../_base_/classifiers/r34.py',
    '../_base_/benchmark_runtime.py',
]
