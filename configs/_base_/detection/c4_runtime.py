# Runtime of the C4 detectors: iterations, and their extra norm, which no
# student has.
_base_ = './runtime.py'

custom_hooks = [
    dict(_base_.student_hook, allow=['shared_head.norm.*']),
    dict(type='mmpretrain.ResumeCheckHook'),
    dict(type='mmpretrain.ThroughputHook'),
    # as detectron2 before it evaluates: 200 batches of 32
    dict(
        type='mmpretrain.PreciseBNHook',
        num_samples=6400,
        interval=12000,
        priority='ABOVE_NORMAL'),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=6000))
log_processor = dict(by_epoch=False)
