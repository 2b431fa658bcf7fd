"""Semi-supervised linear evaluation of ViT-tiny, 1 % of labels.

Not in the paper: rate and schedule are those of DINO's linear evaluation,
not tuned for this. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/semi1_vitt.py 8 \
        --student work_dirs/vits_vitt/epoch_100.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_semi1.py',
    '../_base_/schedules/linear_dino_100e.py',
    '../_base_/classifiers/vitt.py',
    '../_base_/benchmark_runtime.py',
]
