"""KD at linear evaluation: EfficientNet-B1 of DisCo, R-50 teacher.

Paper, Table 2: 65.9 top-1 (ImageNet linear). Status: not run here.
To train the teacher, see configs/benchmarks/linear_r50.py.
    bash tools/dist_train.sh configs/benchmarks/kd_disco_effb1.py 8 \
        --student work_dirs/r50_effb1/epoch_200.pth
"""
_base_ = './kd_mocov2_effb1.py'  # another student
