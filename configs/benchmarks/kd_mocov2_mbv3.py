"""KD at linear evaluation: MobileNetV3-Large of MoCo-v2, R-50 teacher.

Paper, Table 2: 37.3 top-1 (ImageNet linear). Status: not run here.
To train the teacher, see configs/benchmarks/linear_r50.py.
    bash tools/dist_train.sh configs/benchmarks/kd_mocov2_mbv3.py 8 \
        --student work_dirs/mocov2_mbv3/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/testbeds/kd.py',
    '../_base_/classifiers/mbv3.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(**_base_.testbed)
optim_wrapper = dict(optimizer=dict(lr=3.))
