"""DisCo: EfficientNet-B1 from the R-50 teacher, hidden layer of 4096.

Not in the paper: Figure 9 shows effb0, r18 and r34.
Status: not run here.
    bash tools/dist_train.sh configs/disco/hidden/r50_effb1_h4096.py 8
"""
_base_ = '../r50_effb1.py'

model = dict(ssl=dict(neck=dict(hid_channels=4096)))
