# Runtime of the C4 detectors: counts iterations, allows the extra norm that
# students do not have.
_base_ = './runtime.py'

custom_hooks = [
    dict(_base_.student_hook, allow=['shared_head.norm.*']),
    dict(type='mmpretrain.ResumeCheckHook'),
    dict(type='mmpretrain.ThroughputHook'),
    # as detectron2 does before evaluation
    dict(type='DetectionPreciseBNHook', interval=12000, num_batches=200),
    dict(type='DetectionDataCheckHook'),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=6000))
log_processor = dict(by_epoch=False)
