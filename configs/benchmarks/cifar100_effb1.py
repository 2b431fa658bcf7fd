"""Linear evaluation of EfficientNet-B1 on CIFAR-100.

Not in the paper: Figure 6 has two other students. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/cifar100_effb1.py 8 \
        --student work_dirs/r50_effb1/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/cifar100_224.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/classifiers/effb1.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(head=dict(num_classes=100))
optim_wrapper = dict(optimizer=dict(lr=3.))
