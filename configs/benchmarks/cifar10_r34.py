"""Linear evaluation of ResNet-34 on CIFAR-10.

Not in the paper: Figure 6 has two other students. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/cifar10_r34.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/cifar10_224.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/classifiers/r34.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(head=dict(num_classes=10))
optim_wrapper = dict(optimizer=dict(lr=3.))
