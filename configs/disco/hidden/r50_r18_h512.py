"""DisCo: ResNet-18 from the R-50 teacher, hidden layer of 512.

Paper, Table 4, DisCo*: 57.1 top-1 (ImageNet linear).
Status: not run here.
    bash tools/dist_train.sh configs/disco/hidden/r50_r18_h512.py 8
"""
_base_ = '../r50_r18.py'

model = dict(ssl=dict(neck=dict(hid_channels=512)))
