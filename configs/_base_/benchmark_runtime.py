# Loads a pre-trained backbone (tools/train.py --student). Keeps the best epoch,
# as reported by the release, and logs it with the last one.
_base_ = './default_runtime.py'

default_hooks = dict(
    checkpoint=dict(save_best='accuracy/top1', rule='greater'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='BestAndLastHook'),
    dict(type='StudentHook', checkpoint=None),
]
log_processor = dict(mean_pattern=r'.*(loss|time|grad_norm|_acc).*')
