# SGD of linear evaluation with the steps of DisCo's release, by which the
# published numbers most likely came about: half the rate at eleven epochs.
# In _base_ of a config it takes the place of linear_100e.py, the paper's.
_base_ = './linear_100e.py'

param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=True,
        milestones=[5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 80],
        gamma=.5)
]
