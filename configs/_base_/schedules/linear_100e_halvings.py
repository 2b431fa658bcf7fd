# SGD of linear evaluation with the steps of DisCo's release, which most likely
# made the published numbers: the rate is halved eleven times. Use it in _base_
# instead of linear_100e.py, the paper's.
_base_ = './linear_100e.py'

param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=True,
        milestones=[5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 80],
        gamma=.5)
]
