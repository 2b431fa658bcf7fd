"""Linear evaluation of MobileNetV3-Large, by SwAV's protocol.

Paper, Table 5: 55.7 top-1 (ImageNet linear) of DisCo's from R-50, 19.4 of
SwAV alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_swav_mbv3.py 8 \
        --student work_dirs/swav_swavr50_mbv3/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_swav_100e.py',
    '../_base_/classifiers/mbv3.py',
    '../_base_/benchmark_runtime.py',
]
