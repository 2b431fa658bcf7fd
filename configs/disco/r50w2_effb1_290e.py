"""DisCo: EfficientNet-B1 from the R-50x2 teacher, 290 epochs.

Paper, Section 4.2: 70.4 top-1 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/disco/r50w2_effb1_290e.py 8
"""
_base_ = './r50w2_effb1.py'

train_cfg = dict(max_epochs=290)
