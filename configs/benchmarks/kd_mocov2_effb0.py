"""KD at linear evaluation: EfficientNet-B0 of MoCo-v2, R-50 teacher.

Paper, Table 2: 46.5 top-1 (ImageNet linear). Status: not run here.
To train the teacher, see configs/benchmarks/linear_r50.py.
    bash tools/dist_train.sh configs/benchmarks/kd_mocov2_effb0.py 8 \
        --student work_dirs/mocov2_effb0/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/testbeds/kd.py',
    '../_base_/classifiers/effb0.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(**_base_.testbed)
optim_wrapper = dict(optimizer=dict(lr=3.))
