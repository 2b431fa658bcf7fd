"""KD at linear evaluation: ResNet-34 of DisCo, R-50 teacher.

Paper, Table 2: 65.9 top-1 (ImageNet linear). Status: not run here.
To train the teacher, see configs/benchmarks/linear_r50.py.
    bash tools/dist_train.sh configs/benchmarks/kd_disco_r34.py 8 \
        --student work_dirs/r50_r34/epoch_200.pth
"""
_base_ = './kd_mocov2_r34.py'  # another student
