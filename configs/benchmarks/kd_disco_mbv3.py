"""KD at linear evaluation: MobileNetV3-Large of DisCo, R-50 teacher.

Paper, Table 2: 65.2 top-1 (ImageNet linear). Status: not run here.
The teacher is made by configs/benchmarks/linear_r50.py, which says how.
    bash tools/dist_train.sh configs/benchmarks/kd_disco_mbv3.py 8 \
        --student work_dirs/r50_mbv3/epoch_200.pth
"""
_base_ = './kd_mocov2_mbv3.py'  # but for the student
