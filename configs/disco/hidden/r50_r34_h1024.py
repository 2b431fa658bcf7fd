"""DisCo: ResNet-34 from the R-50 teacher, hidden layer of 1024.

A width of Figure 9; the values and widths are ours, the paper gives none.
Status: not run here.
    bash tools/dist_train.sh configs/disco/hidden/r50_r34_h1024.py 8
"""
_base_ = '../r50_r34.py'

model = dict(ssl=dict(neck=dict(hid_channels=1024)))
