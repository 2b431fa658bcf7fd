"""Linear evaluation of XCiT-tiny, by DINO's protocol.

Paper (second version), Table 6: 71.1 top-1 (ImageNet linear) of DisCo's
from XCiT-small, 67 of DINO alone. Status: not run here.
    bash tools/dist_train.sh configs/benchmarks/linear_xcitt.py 8 \
        --student work_dirs/xcits_xcitt/epoch_100.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear_dino.py',
    '../_base_/schedules/linear_dino_100e.py',
    '../_base_/classifiers/xcitt.py',
    '../_base_/benchmark_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=.004))  # .001 for 256 images
auto_scale_lr = dict(base_batch_size=1024)
