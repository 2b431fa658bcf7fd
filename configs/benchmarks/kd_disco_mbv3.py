"""KD at linear evaluation: MobileNetV3-Large of DisCo, R-50 teacher.

Paper, Table 2: 65.2 top-1 (ImageNet linear). Status: not run here.
To train the teacher, see configs/benchmarks/linear_r50.py.
    bash tools/dist_train.sh configs/benchmarks/kd_disco_mbv3.py 8 \
        --student work_dirs/r50_mbv3/epoch_200.pth
"""
_base_ = './kd_mocov2_mbv3.py'  # another student
