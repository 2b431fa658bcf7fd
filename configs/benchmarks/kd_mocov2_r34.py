"""KD at linear evaluation: ResNet-34 of MoCo-v2, R-50 teacher.

Paper, Table 2: 58.8 top-1 (ImageNet linear). Status: not run here.
To train the teacher, see configs/benchmarks/linear_r50.py.
    bash tools/dist_train.sh configs/benchmarks/kd_mocov2_r34.py 8 \
        --student work_dirs/mocov2_r34/epoch_200.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_linear.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/testbeds/kd.py',
    '../_base_/classifiers/r34.py',
    '../_base_/benchmark_runtime.py',
]

model = dict(**_base_.testbed)
