"""Linear evaluation of ViT-tiny on CIFAR-100.

Not in the paper: rate and schedule are those of DINO's linear evaluation,
not tuned for this. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/cifar100_vitt.py 8 \
        --student work_dirs/vits_vitt/epoch_100.pth
"""
_base_ = [
    '../_base_/datasets/cifar100_224.py',
    '../_base_/schedules/linear_dino_100e.py',
    '../_base_/classifiers/vitt.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(head=dict(num_classes=100))
