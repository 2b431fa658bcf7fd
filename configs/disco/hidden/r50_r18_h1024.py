"""DisCo: ResNet-18 from the R-50 teacher, hidden layer of 1024.

Figure 9 varies this width, without printed values; the widths are ours.
Status: not run here.
    bash tools/dist_train.sh configs/disco/hidden/r50_r18_h1024.py 8
"""
_base_ = '../r50_r18.py'

model = dict(ssl=dict(neck=dict(hid_channels=1024)))
