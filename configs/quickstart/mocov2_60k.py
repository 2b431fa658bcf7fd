"""The quickstart's student by MoCo-v2 on all of its teacher's images.

As many steps as mocov2.py: 2 epochs of 60 000 images for 12 of 10 000.
    python tools/train.py configs/quickstart/mocov2_60k.py
"""
_base_ = './mocov2.py'

data_root = '/usr/share/datasets/fashion-mnist'
train_dataloader = dict(dataset=dict(data_root=data_root))
train_cfg = dict(max_epochs=2)
