"""DisCo: MobileNetV3-Large from the R-50x2 teacher, 340 epochs.

Paper, Section 4.2: 64.0 top-1 (ImageNet linear). Status: not run here.
    bash tools/dist_train.sh configs/disco/r50w2_mbv3_340e.py 8
"""
_base_ = './r50w2_mbv3.py'

train_cfg = dict(max_epochs=340)
