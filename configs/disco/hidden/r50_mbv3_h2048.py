"""DisCo: MobileNetV3-Large from the R-50 teacher, hidden layer of 2048.

Paper, Table 4, DisCo: 64.4 top-1 (ImageNet linear).
Status: not run here.
    bash tools/dist_train.sh configs/disco/hidden/r50_mbv3_h2048.py 8
"""
_base_ = '../r50_mbv3.py'

model = dict(ssl=dict(neck=dict(hid_channels=2048)))
