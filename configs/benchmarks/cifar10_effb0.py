"""Linear evaluation of EfficientNet-B0 on CIFAR-10.

Paper, Figure 6 (no values are printed). Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/cifar10_effb0.py 8 \
        --student work_dirs/r50_effb0/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/cifar10_224.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/classifiers/effb0.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(head=dict(num_classes=10))
optim_wrapper = dict(optimizer=dict(lr=3.))
