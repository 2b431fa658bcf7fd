"""DisCo: EfficientNet-B0 from the R-50 teacher, hidden layer of 1280.

Paper, Table 4, DisCo*: 65.6 top-1 (ImageNet linear).
Status: not run here.
    bash tools/dist_train.sh configs/disco/hidden/r50_effb0_h1280.py 8
"""
_base_ = '../r50_effb0.py'

model = dict(ssl=dict(neck=dict(hid_channels=1280)))
