"""Linear evaluation of ViT-tiny, by DINO's protocol.

Paper (second version), Table 6: 68.4 top-1 (ImageNet linear) of DisCo's
from ViT-small, 55 of DINO alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_vitt.py 8 \
        --student work_dirs/vits_vitt/epoch_100.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear_dino.py',
    '../_base_/schedules/linear_dino_100e.py',
    '../_base_/classifiers/vitt.py',
    '../_base_/benchmark_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=.004))  # .001 for 256 images
auto_scale_lr = dict(base_batch_size=1024)
