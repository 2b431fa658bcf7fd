# Runtime of the small C4 detectors: epochs, on one machine.
_base_ = './runtime.py'

custom_hooks = [
    dict(_base_.student_hook, allow=['shared_head.norm.*']),
    dict(type='mmpretrain.ResumeCheckHook'),
    dict(type='mmpretrain.ThroughputHook'),
    dict(type='DetectionPreciseBNHook', interval=6, num_batches=50),
    dict(type='DetectionDataCheckHook'),
]
# 2000 images in batches of 8: also logs the last iterations of an epoch
default_hooks = dict(logger=dict(interval=25))
